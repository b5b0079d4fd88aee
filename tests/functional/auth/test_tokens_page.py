"""Tests the page for personal access tokens."""

from datetime import timedelta

import pytest

from combine_auth.tokens.format import PERSONAL
from combine_auth.tokens.service import MAX_ACTIVE
from tests.functional.auth.conftest import COOKIE, find_form


def csrf(client):
    return client.get("/account/tokens").forms[0]["csrf_token"].value


def test_token_is_shown_once_and_works(service, signed_in):
    page = find_form(signed_in.get("/account/tokens"), "tokens$")
    page["name"] = "nightly <script>"
    page["days"] = "30"
    answer = page.submit(status=303).follow()
    token = answer.html.find(id="new-token").text
    assert PERSONAL.is_valid(token)
    assert token not in answer.request.url
    assert "no-store" in answer.headers["Cache-Control"]
    assert "<script>" not in answer.text.partition("<main")[2]
    assert service.execute(
        "SELECT name, last4, expires_at - created_at FROM personal_access_tokens"
    ) == [("nightly <script>", token[-4:], timedelta(days=30))]

    # Reloading the page neither shows the token nor creates another one.
    listed = signed_in.get(answer.request.url)
    assert token not in listed
    assert service.execute("SELECT count(*) FROM personal_access_tokens") == [(1,)]
    assert f"cmb_pat_…{token[-4:]}" in listed
    assert "never" in listed
    headers = {"Authorization": f"Bearer {token}"}
    assert service.client().get("/whoami", headers=headers).json["email"] == "ann@example.com"
    assert "never" not in signed_in.get("/account/tokens").text.partition("<main")[2]


def made(signed_in):
    """Return the URL of the page that shows a new token."""
    page = find_form(signed_in.get("/account/tokens"), "tokens$")
    page["name"] = "nightly"
    return page.submit(status=303).location


def test_the_token_is_stored_encrypted_until_it_is_shown(service, signed_in):
    where = made(signed_in)
    [(sealed,)] = service.execute("SELECT sealed FROM shown_once")
    assert b"cmb_pat_" not in bytes(sealed)
    signed_in.head(where)
    token = signed_in.get(where).html.find(id="new-token").text
    assert token.encode() not in bytes(sealed)
    assert service.execute("SELECT count(*) FROM shown_once") == [(0,)]


def test_other_users_do_not_see_the_token(service, signed_in):
    where = made(signed_in)
    other = service.client()
    other.set_cookie(COOKIE, service.cookie(service.user("bob@example.com")))
    assert other.get(where).html.find(id="new-token") is None
    for odd in ("x", "", "0199c2a1-7d0e-7c3e-8a51-3a5f7b1c2d3e"):
        assert other.get(f"/account/tokens?shown={odd}").html.find(id="new-token") is None
    assert signed_in.get(where).html.find(id="new-token")


def test_the_token_is_not_shown_after_ten_minutes(service, signed_in):
    where = made(signed_in)
    service.execute("UPDATE shown_once SET created_at = now() - interval '11 minutes'")
    assert signed_in.get(where).html.find(id="new-token") is None
    made(signed_in)
    assert service.execute("SELECT count(*) FROM shown_once") == [(1,)]


def test_the_token_is_lost_with_another_secret_key(service, signed_in):
    where = made(signed_in)
    service.execute("UPDATE shown_once SET sealed = 'from another key'::bytea")
    assert signed_in.get(where).html.find(id="new-token") is None


@pytest.mark.parametrize(
    ("name", "days", "why"),
    [
        ("", "90", "1 to 100 printable"),
        ("   ", "90", "1 to 100 printable"),
        ("x" * 101, "90", "1 to 100 printable"),
        ("a\nb", "90", "printable characters"),
        ("a\x00b", "90", "printable characters"),
        ("a\u202eb", "90", "printable characters"),
        ("ok", "0", "1 to 365 days"),
        ("ok", "366", "1 to 365 days"),
        ("ok", "-1", "1 to 365 days"),
        ("ok", "", "1 to 365 days"),
        ("ok", "1e2", "1 to 365 days"),
        ("ok", "٣", "1 to 365 days"),
        ("ok", "9" * 5000, "1 to 365 days"),
    ],
)
def test_invalid_token_is_rejected(service, signed_in, name, days, why):
    answer = signed_in.post(
        "/account/tokens",
        {"csrf_token": csrf(signed_in), "name": name, "days": days},
        status=400,
    )
    assert why in answer.html.find(role="alert").text
    assert service.execute("SELECT count(*) FROM personal_access_tokens") == [(0,)]


def test_file_instead_of_the_name_is_rejected(signed_in):
    headers = {"X-CSRF-Token": csrf(signed_in)}
    files = [("name", "n.txt", b"x"), ("days", "d.txt", b"1")]
    signed_in.post("/account/tokens", upload_files=files, headers=headers, status=400)


def test_the_number_of_tokens_is_limited(service, signed_in):
    service.token(service.user())
    service.execute(
        "INSERT INTO personal_access_tokens (id, user_id, name, last4, token_sha256, expires_at)"
        " SELECT gen_random_uuid(), user_id, name, last4, sha256(n::text::bytea), expires_at"
        " FROM personal_access_tokens, generate_series(2, :most) AS n",
        most=MAX_ACTIVE,
    )
    fields = {"csrf_token": csrf(signed_in), "name": "more", "days": "7"}
    assert "Revoke one first" in signed_in.post("/account/tokens", fields, status=400)
    service.execute(
        "UPDATE personal_access_tokens SET revoked_at = now()"
        " WHERE id = (SELECT id FROM personal_access_tokens LIMIT 1)"
    )
    assert signed_in.post("/account/tokens", fields).status_int == 303
    # The list shows all valid tokens before any others.
    page = signed_in.get("/account/tokens")
    assert len(page.html.find_all("button", string="Revoke")) == MAX_ACTIVE


def test_token_is_revoked(service, signed_in):
    token = service.token(service.user())
    answer = find_form(signed_in.get("/account/tokens"), "revoke$").submit()
    assert (answer.status_int, answer.location) == (303, "http://localhost:8000/account/tokens")
    assert "revoked" in answer.follow()
    headers = {"Authorization": f"Bearer {token}"}
    assert service.client().get("/whoami", headers=headers).json["email"] is None


def test_revoking_again_keeps_the_first_time(service, signed_in):
    service.token(service.user())
    button = find_form(signed_in.get("/account/tokens"), "revoke$")
    button.submit()
    service.execute("UPDATE personal_access_tokens SET revoked_at = '2026-01-01Z'")
    button.submit(status=303)
    [(year,)] = service.execute("SELECT extract(year FROM revoked_at) FROM personal_access_tokens")
    assert year == 2026
    assert service.execute(
        "SELECT count(*) FROM personal_access_tokens WHERE revoked_at = '2026-01-01Z'"
    ) == [(1,)]


def test_expired_token_is_marked(service, signed_in):
    service.token(service.user())
    service.execute("UPDATE personal_access_tokens SET expires_at = now() - interval '1 day'")
    page = signed_in.get("/account/tokens")
    assert "expired" in page
    assert not page.html.find_all("button", string="Revoke")


def test_token_cannot_manage_tokens(service, client):
    headers = {"Authorization": f"Bearer {service.token(service.user())}"}
    client.get("/account/tokens", headers=headers, status=403)
    client.post("/account/tokens", {"name": "more", "days": "365"}, headers=headers, status=403)
    assert service.execute("SELECT count(*) FROM personal_access_tokens") == [(1,)]


def test_forms_need_the_csrf_token(service, signed_in):
    signed_in.post("/account/tokens", {"name": "n", "days": "7"}, status=400)
    assert service.execute("SELECT count(*) FROM personal_access_tokens") == [(0,)]


def test_old_tokens_are_deleted(service):
    user = service.user()
    for _ in range(3):
        service.token(user)
    ids = [id_ for (id_,) in service.execute("SELECT id FROM personal_access_tokens ORDER BY id")]
    change = "UPDATE personal_access_tokens SET {} = now() - interval '{}' WHERE id = :id"
    service.execute(change.format("expires_at", "91 days"), id=ids[0])
    service.execute(change.format("revoked_at", "91 days"), id=ids[1])
    service.execute(change.format("revoked_at", "89 days"), id=ids[2])
    service.token(user)
    left = [id_ for (id_,) in service.execute("SELECT id FROM personal_access_tokens ORDER BY id")]
    assert left[0] == ids[2]
    assert len(left) == 2


def test_get_changes_nothing(service, signed_in):
    service.token(service.user())
    [(token_id,)] = service.execute("SELECT id FROM personal_access_tokens")
    signed_in.get(f"/account/tokens/{token_id}/revoke", status=405)
    assert service.execute("SELECT revoked_at FROM personal_access_tokens") == [(None,)]


def test_stranger_returns_to_the_page_after_sign_in(client):
    answer = client.get("/account/tokens")
    assert answer.location == "http://localhost:8000/auth/sign-in?next=%2Faccount%2Ftokens"


def test_page_is_linked_from_the_account(signed_in):
    page = signed_in.get("/account")
    assert page.html.find("main").find("a", href="/account/tokens")
