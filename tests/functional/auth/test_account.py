"""Tests the account page with the user's profile and sessions."""

from tests.functional.auth.conftest import COOKIE, find_form


def csrf(client):
    return client.get("/account").forms[0]["csrf_token"].value


def test_stranger_is_sent_to_sign_in(client):
    answer = client.get("/account")
    assert answer.status_int == 303
    assert answer.location == "http://localhost:8000/auth/sign-in?next=%2Faccount"
    assert answer.follow().form["next"].value == "/account"


def test_page_shows_the_profile(service, signed_in):
    page = signed_in.get("/account")
    assert "ann@example.com" in page
    assert "an administrator" not in page
    assert "no-store" in page.headers["Cache-Control"]
    service.execute("UPDATE users SET is_admin = true, name = '<b>Ann</b>'")
    page = signed_in.get("/account")
    assert "an administrator" in page
    assert "<b>Ann" not in page
    assert "&lt;b&gt;Ann" in page


def test_objects_of_others_get_404(service, signed_in):
    eve = service.user("eve@example.com")
    service.token(eve)
    service.cookie(eve)
    [(token_id,)] = service.execute("SELECT id FROM personal_access_tokens")
    [(session_id,)] = service.execute("SELECT id FROM sessions WHERE user_id = :id", id=eve.id)
    headers = {"X-CSRF-Token": csrf(signed_in)}
    for path in (
        f"/account/tokens/{token_id}/revoke",
        f"/account/sessions/{session_id}/end",
        f"/account/tokens/{session_id}/revoke",
        f"/account/sessions/{token_id}/end",
        "/account/tokens/x/revoke",
        "/account/sessions/%00/end",
    ):
        signed_in.post(path, headers=headers, status=404)
    assert service.execute("SELECT revoked_at FROM personal_access_tokens") == [(None,)]
    assert service.execute("SELECT count(*) FROM sessions") == [(2,)]
    assert "eve@example.com" not in signed_in.get("/account")


def test_another_session_is_ended(service, signed_in):
    service.execute("UPDATE sessions SET user_agent = 'here'")
    other = service.client()
    other.set_cookie(COOKIE, service.cookie(service.user()))
    page = signed_in.get("/account")
    assert "here <strong>(this one)" in page
    [(mine, theirs)] = service.execute("SELECT min(id::text), max(id::text) FROM sessions")
    assert mine < theirs
    find_form(page, theirs).submit(status=303)
    assert other.get("/whoami").json["email"] is None
    assert signed_in.get("/whoami").json["email"] == "ann@example.com"


def test_this_session_is_ended(service, signed_in):
    answer = find_form(signed_in.get("/account"), "sessions/").submit()
    assert answer.location == "http://localhost:8000/auth/sign-in"
    assert signed_in.cookies.get(COOKIE, "") == ""
    assert service.execute("SELECT count(*) FROM sessions") == [(0,)]


def test_ended_sessions_are_not_listed(service, signed_in):
    service.cookie(service.user())
    service.execute(
        "UPDATE sessions SET last_seen_at = now() - interval '13 hours'"
        " WHERE id = (SELECT id FROM sessions ORDER BY id DESC LIMIT 1)"
    )
    page = signed_in.get("/account")
    assert len([f for f in page.forms.values() if "/sessions/" in f.action]) == 1


def test_get_changes_nothing(service, signed_in):
    [(session_id,)] = service.execute("SELECT id FROM sessions")
    signed_in.get(f"/account/sessions/{session_id}/end", status=405)
    assert service.execute("SELECT count(*) FROM sessions") == [(1,)]


def test_navigation_links_to_the_page(signed_in):
    page = signed_in.get("/account")
    assert page.html.find("nav").find("a", href="/account", attrs={"aria-current": "page"})
