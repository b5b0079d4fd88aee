"""Tests the device authorization grant (RFC 8628). T43."""

import re

import pytest

from combine_auth.oauth_server.devices import new_user_code, read_user_code
from tests.functional.auth.oauth_server.conftest import COMMAND_LINE, DEVICE_GRANT, Client, refused


def start(provider, client=COMMAND_LINE, **fields):
    return provider.wire.post("/oauth/device", {**client.fields, **fields}, expect_errors=True)


def poll(provider, device_code, client=COMMAND_LINE):
    """Poll as a device that has waited long enough."""
    provider.service.execute("UPDATE oauth_devices SET asked_at = asked_at - interval '1 minute'")
    return ask(provider, device_code, client)


def ask(provider, device_code, client=COMMAND_LINE):
    fields = {"grant_type": DEVICE_GRANT, "device_code": device_code, **client.fields}
    return provider.token(fields)


def form(page):
    return page.forms[len(page.forms) - 1]


def confirmation(browser, user_code):
    page = form(browser.get("/device"))
    page["user_code"] = user_code
    return page.submit(expect_errors=True)


def decide(browser, user_code, decision="approve"):
    return form(confirmation(browser, user_code)).submit("decision", value=decision)


def test_a_device_gets_tokens(provider):
    answer = start(provider, scope="projects:read runs:write")
    assert answer.status_int == 200
    assert answer.headers["Cache-Control"] == "no-store"
    codes = answer.json
    page = f"{provider.issuer}/device"
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", codes["user_code"])
    assert (codes["expires_in"], codes["interval"]) == (600, 5)
    assert codes["verification_uri"] == page
    assert codes["verification_uri_complete"] == f"{page}?user_code={codes['user_code']}"
    assert set(codes) == {
        "device_code", "user_code", "verification_uri", "verification_uri_complete",
        "expires_in", "interval",
    }  # fmt: skip

    refused(ask(provider, codes["device_code"]), 400, "authorization_pending")
    decide(provider.browser(), codes["user_code"])
    tokens = ask(provider, codes["device_code"]).json
    assert tokens["scope"] == "projects:read runs:write"
    assert provider.user_of(tokens["access_token"]) == "ann@example.com"
    renewed = provider.refresh(COMMAND_LINE, tokens["refresh_token"]).json
    assert provider.user_of(renewed["access_token"]) == "ann@example.com"
    assert provider.audit() == [("device-approve", "ok"), ("oauth-token", "ok")]


def test_t43_polling_too_fast_gets_slow_down(provider):
    codes = start(provider).json
    refused(ask(provider, codes["device_code"]), 400, "authorization_pending")
    refused(ask(provider, codes["device_code"]), 400, "slow_down")
    assert provider.service.execute("SELECT interval FROM oauth_devices") == [(10,)]
    refused(ask(provider, codes["device_code"]), 400, "slow_down")
    assert provider.service.execute("SELECT interval FROM oauth_devices") == [(15,)]
    # Five seconds more than the first interval are now too few.
    provider.service.execute("UPDATE oauth_devices SET asked_at = now() - interval '14 seconds'")
    refused(ask(provider, codes["device_code"]), 400, "slow_down")
    refused(poll(provider, codes["device_code"]), 400, "authorization_pending")


def test_t43_code_works_once(provider):
    codes = start(provider).json
    decide(provider.browser(), codes["user_code"])
    assert ask(provider, codes["device_code"]).status_int == 200
    refused(ask(provider, codes["device_code"]), 400, "invalid_grant")


def test_t43_denied_code_is_rejected(provider):
    codes = start(provider).json
    assert "The device was denied" in decide(provider.browser(), codes["user_code"], "deny")
    refused(ask(provider, codes["device_code"]), 400, "access_denied")
    assert provider.audit() == [("device-deny", "ok")]
    # It cannot be approved afterwards.
    assert confirmation(provider.browser(), codes["user_code"]).status_int == 400


def test_t43_expired_code_is_rejected(provider):
    codes = start(provider).json
    provider.service.execute("UPDATE oauth_devices SET expires_at = now()")
    refused(ask(provider, codes["device_code"]), 400, "expired_token")
    assert confirmation(provider.browser(), codes["user_code"]).status_int == 400


def test_t43_code_revoked_after_approval_is_rejected(provider):
    codes = start(provider).json
    decide(provider.browser(), codes["user_code"])
    provider.service.execute("UPDATE oauth_grants SET revoked_at = now()")
    refused(ask(provider, codes["device_code"]), 400, "invalid_grant")


@pytest.mark.parametrize("code", ["x", "cmb_dc_" + "0" * 49, "é"])
def test_t43_unknown_device_code_is_rejected(provider, code):
    start(provider)
    refused(ask(provider, code), 400, "invalid_grant")


def test_t43_code_of_another_client_is_rejected(provider):
    other = provider.register(confidential=False, device=True)
    codes = start(provider, other).json
    start(provider)
    refused(ask(provider, codes["device_code"]), 400, "invalid_grant")
    refused(ask(provider, codes["device_code"], other), 400, "authorization_pending")


@pytest.mark.parametrize(
    "code", ["", "x", "BBBB-BBBB", "AEIO-UAEI", "é" * 8, "\x00" * 8, "B" * 5000]
)
def test_t43_wrong_user_code_is_rejected(provider, code):
    start(provider)
    answer = confirmation(provider.browser(), code)
    assert answer.status_int == 400
    assert "No device is waiting" in answer.html.find(role="alert").text


def test_t43_guessing_is_limited(provider):
    start(provider)
    browser = provider.browser()
    csrf = form(browser.get("/device"))["csrf_token"].value
    answers = [
        browser.post(
            "/device",
            {"csrf_token": csrf, "user_code": new_user_code()},
            extra_environ={"REMOTE_ADDR": f"192.0.2.{number}"},
            expect_errors=True,
        )
        for number in range(6)
    ]
    # The limit also holds across many addresses, because it counts per user.
    assert [answer.status_int for answer in answers] == [400] * 5 + [429]
    assert "Retry-After" in answers[-1].headers


def test_t43_page_warns_against_codes_in_messages(provider):
    codes = start(provider, scope="runs:write", x="y").json
    page = confirmation(provider.browser(), codes["user_code"].lower().replace("-", " "))
    text = page.html.find("main").text
    assert "Combine's command line" in text
    assert "127.0.0.1" in text
    assert "Start, cancel and delete runs in your projects" in text
    assert "If somebody sent you the code" in text
    assert "ann@example.com" in text


def test_t43_opening_a_link_approves_nothing(provider):
    codes = start(provider).json
    browser = provider.browser()
    page = browser.get(f"/device?user_code={codes['user_code']}&decision=approve")
    assert form(page)["user_code"].value == codes["user_code"]
    refused(ask(provider, codes["device_code"]), 400, "authorization_pending")
    # The form alone shows the request first.
    assert "Allow" in form(page).submit()
    refused(poll(provider, codes["device_code"]), 400, "authorization_pending")


def test_t43_form_of_another_site_approves_nothing(provider):
    codes = start(provider).json
    browser = provider.browser()
    fields = {"user_code": codes["user_code"], "decision": "approve"}
    browser.post("/device", fields, status=400)
    refused(ask(provider, codes["device_code"]), 400, "authorization_pending")


def test_t43_token_cannot_approve_a_device(provider):
    codes = start(provider).json
    token = provider.service.token(provider.service.user())
    fields = {"user_code": codes["user_code"], "decision": "approve"}
    headers = {"Authorization": f"Bearer {token}"}
    provider.wire.post("/device", fields, headers=headers, status=403)


def test_stranger_signs_in_and_returns_to_the_device_page(provider):
    answer = provider.service.client().get("/device?user_code=BCDF-GHJK")
    assert "next=%2Fdevice%3Fuser_code%3DBCDF-GHJK" in answer.location


def test_only_clients_with_the_device_grant_may_start(provider, client_):
    refused(start(provider, Client("unknown", None)), 401, "invalid_client")
    refused(start(provider, Client(client_.client_id, "wrong")), 401, "invalid_client")
    nobody = provider.wire.post("/oauth/device", {"scope": "runs:read"}, expect_errors=True)
    refused(nobody, 401, "invalid_client")
    refused(start(provider, client_), 400, "unauthorized_client")
    refused(start(provider, scope="nonsense"), 400, "invalid_scope")
    with_secret = provider.register(device=True, redirect_uris=[])
    assert start(provider, with_secret).status_int == 200
    provider.wire.authorization = ("Basic", (with_secret.client_id, with_secret.secret))
    assert provider.wire.post("/oauth/device", {"scope": "runs:read"}).status_int == 200


def test_built_in_client_is_updated(provider):
    start(provider)
    provider.service.execute("UPDATE oauth_clients SET name = 'old', scopes = '{runs:read}'")
    codes = start(provider, scope="projects:read")
    assert codes.status_int == 200
    assert provider.service.execute("SELECT name FROM oauth_clients") == [
        ("Combine's command line",)
    ]
    provider.service.execute("UPDATE oauth_clients SET disabled_at = now()")
    refused(start(provider), 401, "invalid_client")


def test_user_codes_are_accepted_in_various_spellings():
    assert read_user_code(" wdjb mjht ") == "WDJB-MJHT"
    assert read_user_code("wdjbmjht") == "WDJB-MJHT"
    assert read_user_code("W-D-J-B-M-J-H-T") == "WDJB-MJHT"
    for wrong in ("", "WDJBMJH", "WDJBMJHTT", "ADJBMJHT", "WDJB_MJHT", "\uff37DJBMJHT", "WDJBMJH1"):
        assert read_user_code(wrong) is None
    assert len({new_user_code() for _ in range(500)}) == 500


class TestThePageOfADevice:
    def test_page_names_the_owner_of_the_client(self, provider):
        client = provider.register(device=True, redirect_uris=[])
        page = confirmation(provider.browser(), start(provider, client).json["user_code"])
        text = page.html.find(id="registered-by").text
        assert "dev@example.com" in text
        assert page.html.find(id="registered-by").find("time") is not None
        page = confirmation(provider.browser(), start(provider).json["user_code"])
        assert page.html.find(id="registered-by").text.strip() == "This program is part of Combine."

    def test_only_administrators_grant_the_scopes_of_administrators(self, provider):
        provider.service.user("dev@example.com")
        provider.service.execute("UPDATE users SET is_admin = true")
        scopes = ["runs:read", "users:write"]
        client = provider.register(device=True, redirect_uris=[], scopes=scopes)
        codes = start(provider, client).json
        assert "users:write" not in confirmation(provider.browser(), codes["user_code"])
        decide(provider.browser(), codes["user_code"])
        assert poll(provider, codes["device_code"], client).json["scope"] == "runs:read"

        user_code = start(provider, client, scope="users:write").json["user_code"]
        page = confirmation(provider.browser(), user_code)
        assert page.status_int == 400
        assert "only an administrator" in page.html.find(role="alert").text

        codes = start(provider, client).json
        decide(provider.browser("dev@example.com"), codes["user_code"])
        tokens = poll(provider, codes["device_code"], client).json
        assert tokens["scope"] == "runs:read users:write"

    def test_grant_beyond_the_limit_is_rejected(self, provider, monkeypatch):
        monkeypatch.setattr("combine_auth.oauth_server.lifetimes.MAX_GRANTS", 1)
        browser = provider.browser()
        codes = start(provider).json
        decide(browser, codes["user_code"])
        assert poll(provider, codes["device_code"]).status_int == 200
        page = form(confirmation(browser, start(provider).json["user_code"]))
        answer = page.submit("decision", value="approve", expect_errors=True)
        assert answer.status_int == 409
        assert "Revoke one" in answer.html.find(role="alert").text
