"""Tests sign-in against open redirects, forged hosts, fixation, other methods and floods. T25 to T30."""

from __future__ import annotations

import threading
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from combine_auth.clients import GrantType, OAuthClient
from combine_auth.oauth_server.grants import create_grant
from tests.functional.auth.sign_in.conftest import (
    BROWSER,
    CSRF,
    HOST,
    SESSION,
    Browser,
    audit,
    count,
)


class TestT25OpenRedirect:
    """`next` is a path of the service, or the home page."""

    EVIL = (
        "//e.example",
        "/\\e.example",
        "/%09/e.example",
        "/\t/e.example",
        "https:e.example",
        "https://e.example",
        "javascript:alert(1)",
        "/a//e.example",
        "http:///e.example",
        "@e.example",
        "/x\r\nSet-Cookie: a=b",
        "/" + "a" * 5000,
        "/\u2044\u2044e.example",
        "\u2215\u2215e.example",
        "/%2f%2fe.example",
        "/%252f%252fe.example",
        "/%5ce.example",
        "/auth/sign-out",
        "/auth/local",
        "",
    )

    @pytest.mark.parametrize("evil", EVIL)
    def test_foreign_next_leads_to_the_home_page(self, service, browser, google, evil):
        answer = browser.sign_in(google, fields={"next": evil})
        assert answer.location == f"{HOST}/"
        assert "a=b" not in str(answer.headers)
        page = Browser(service).client.get(f"/auth/sign-in?next={quote(evil)}")
        for form in page.forms.values():
            assert form["next"].value == "/"

    def test_next_is_not_sent_to_the_provider(self, browser, google):
        url = browser.start(next="/whoami?secret=1")
        assert "secret" not in url
        answer = browser.come_back(f"{google.callback_url(url)}&next=/refuse")
        assert answer.location == f"{HOST}/whoami?secret=1"

    def test_many_parameters_are_ignored(self, browser):
        browser.client.get("/auth/sign-in?" + "a=b&" * 1000, status=200)


class TestT26Host:
    """The redirect URI depends only on PUBLIC_URL."""

    @pytest.mark.parametrize(
        "environ",
        [
            {"HTTP_X_FORWARDED_HOST": "evil.example"},
            {"HTTP_FORWARDED": "host=evil.example"},
            {"HTTP_X_FORWARDED_PORT": "444", "HTTP_X_FORWARDED_PROTO": "https"},
            {"HTTP_X_ORIGINAL_HOST": "evil.example"},
            {"HTTP_HOST": "127.0.0.1:8000"},
            {"SERVER_NAME": "evil.example", "SERVER_PORT": "1"},
            {"SCRIPT_NAME": ""},
        ],
    )
    def test_headers_do_not_change_the_redirect_uri(self, service, environ):
        browser = Browser(service, **environ)
        if "HTTP_HOST" in environ:
            browser.client.cookiejar.clear()
            cookie = {"Cookie": f"{CSRF}={'0' * 32}", "X-CSRF-Token": "0" * 32}
            url = browser.client.post("/auth/google/start", headers=cookie, status=303).location
        else:
            url = browser.start()
        assert parse_qs(urlsplit(url).query)["redirect_uri"] == [f"{HOST}/auth/google/callback"]

    def test_unknown_host_is_rejected(self, service, google):
        client = service.client(HTTP_HOST="evil.example")
        cookie = {"Cookie": f"{CSRF}={'0' * 32}", "X-CSRF-Token": "0" * 32}
        client.post("/auth/google/start", headers=cookie, status=400)
        client.get("/auth/google/callback?state=x", status=400)
        assert count(service, "sign_in_attempts") == 0


class TestT27Fixation:
    """Planted cookies are worthless after a sign-in."""

    def test_planted_session_and_csrf_token_are_replaced(self, service, browser, google):
        planted = service.cookie(service.user("eve@example.com"))
        browser.client.set_cookie(SESSION, planted)
        browser.sign_in(google)
        assert browser.client.cookies[SESSION] != planted
        assert browser.client.cookies[CSRF] != "0" * 32
        attacker = Browser(service)
        attacker.client.set_cookie(SESSION, planted)
        assert attacker.whoami() is None

    def test_sign_out_ends_the_session(self, service, browser, google):
        browser.sign_in(google)
        stolen, csrf = browser.client.cookies[SESSION], browser.client.cookies[CSRF]
        answer = browser.post("/auth/sign-out", status=303)
        assert answer.location == f"{HOST}/auth/sign-in?signed_out=google"
        assert browser.client.cookies[CSRF] != csrf
        thief = Browser(service)
        thief.client.set_cookie(SESSION, stolen)
        assert thief.whoami() is None
        assert audit(service, "sign-out") == ["ok"]

    def test_session_id_is_not_in_addresses_or_pages(self, browser, google):
        browser.sign_in(google)
        token = browser.client.cookies[SESSION]
        for path in ("/account", "/account/identities/add"):
            assert token not in browser.client.get(path).text


class TestT28SignOutEverywhere:
    """Signing out everywhere also works during another request."""

    def test_other_sessions_are_ended(self, service, browser, google):
        others = [Browser(service) for _ in range(2)]
        for one in (browser, *others):
            one.sign_in(google)
        page = browser.client.get("/account")
        form = next(f for f in page.forms.values() if f.action.endswith("sign-out-others"))
        form.submit(status=303)
        assert browser.whoami() == "ann@example.com"
        assert [one.whoami() for one in others] == [None, None]
        assert audit(service, "sessions-end-all") == ["ok"]

    def everywhere(self, browser):
        page = browser.client.get("/account")
        return next(f for f in page.forms.values() if f.action.endswith("sign-out-everywhere"))

    def test_all_sessions_are_ended(self, service, browser, google):
        other = Browser(service)
        other.sign_in(google)
        browser.sign_in(google)
        answer = self.everywhere(browser).submit(status=303)
        assert answer.location == f"{HOST}/auth/sign-in"
        assert browser.client.cookies.get(SESSION, "") == ""
        assert other.whoami() is browser.whoami() is None
        assert count(service, "sessions") == 0

    @pytest.mark.parametrize("revoke", [True, False])
    def test_tokens_are_revoked_on_request(self, service, browser, google, revoke):
        browser.sign_in(google)
        headers = {"Authorization": f"Bearer {service.token(service.user())}"}
        form = self.everywhere(browser)
        if revoke:
            form["programs"] = "too"
        form.submit(status=303)
        found = service.client().get("/whoami", headers=headers).json["email"]
        assert found == (None if revoke else "ann@example.com")
        assert audit(service, "token-revoke") == (["ok"] if revoke else [])

    @pytest.mark.parametrize("revoke", [True, False])
    def test_grants_are_revoked_on_request(self, service, browser, google, revoke):
        browser.sign_in(google)
        user = service.user()
        with service.session() as session:
            program = OAuthClient(
                client_id="p", name="P", redirect_uris=[], grant_types=[], scopes=[]
            )
            session.add(program)
            session.flush()
            create_grant(session, user.id, program, GrantType.AUTHORIZATION_CODE, [])
        form = self.everywhere(browser)
        form["programs"] = "too" if revoke else None
        form.submit(status=303)
        [(revoked,)] = service.execute("SELECT revoked_at IS NOT NULL FROM oauth_grants")
        assert revoked is revoke
        assert audit(service, "consent-revoke") == (["ok"] if revoke else [])

    def test_session_ends_during_another_request(self, service, browser, google):
        """A request that holds the row of its session does not restore the session."""
        other = Browser(service)
        other.sign_in(google)
        browser.sign_in(google)
        with service.session() as running:
            from sqlalchemy import text

            running.execute(text("SELECT 1 FROM sessions FOR KEY SHARE SKIP LOCKED"))
            ending = threading.Thread(target=lambda: self.everywhere(browser).submit(status=303))
            ending.start()
        ending.join()
        assert other.whoami() is None


class TestT29Methods:
    """A link, an image or a form of another site has no effect."""

    PATHS = ("/auth/google/start", "/auth/sign-out", "/auth/local")

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
    def test_only_post_is_accepted(self, service, browser, google, path, method):
        browser.sign_in(google)
        answer = getattr(browser.client, method)(path, status=405)
        assert answer.headers["Allow"] == "POST"
        assert browser.whoami() == "ann@example.com"
        assert count(service, "sign_in_attempts") == 1

    @pytest.mark.parametrize("path", ["/auth/google/start", "/auth/sign-out"])
    def test_form_of_another_site_is_rejected(self, service, browser, google, path):
        browser.sign_in(google)
        browser.client.post(path, status=400)
        browser.client.post(path, {"csrf_token": "0" * 32}, status=400)
        token = {"csrf_token": browser.client.cookies[CSRF]}
        browser.client.post(path, token, headers={"Origin": "https://evil.example"}, status=400)
        assert browser.whoami() == "ann@example.com"
        assert count(service, "sign_in_attempts") == 1


class TestT30Flood:
    """The response is a 429 with Retry-After, for each client address."""

    @pytest.fixture
    def limited(self, make_service):
        return make_service({"combine_auth.rate_limits": "true"})

    def test_callbacks_are_limited(self, limited):
        browser = Browser(limited, REMOTE_ADDR="192.0.2.1")
        path = "/auth/google/callback?state=" + "a" * 43
        statuses = [browser.client.get(path, expect_errors=True).status_int for _ in range(62)]
        assert set(statuses[:60]) == {303}
        assert statuses[60:] == [429, 429]
        assert "Retry-After" in browser.client.get(path, status=429).headers
        elsewhere = Browser(limited, REMOTE_ADDR="192.0.2.2")
        assert elsewhere.client.get(path).status_int == 303

    def test_sign_in_attempts_are_limited(self, limited):
        browser = Browser(limited, REMOTE_ADDR="192.0.2.1")
        statuses = [
            browser.post("/auth/google/start", expect_errors=True).status_int for _ in range(61)
        ]
        assert statuses.count(429) == 1
        assert count(limited, "sign_in_attempts") == 10

    def test_limits_can_be_raised_for_a_shared_address(self, make_service):
        more = {"combine_auth.address_limits": "sign-in=70, callback=300"}
        service = make_service({"combine_auth.rate_limits": "true", **more})
        browser = Browser(service, REMOTE_ADDR="192.0.2.1")
        statuses = [
            browser.post("/auth/google/start", expect_errors=True).status_int for _ in range(71)
        ]
        assert statuses == [303] * 70 + [429]

    def test_invitations_are_limited(self, limited):
        browser = Browser(limited, REMOTE_ADDR="192.0.2.1")
        path = "/auth/invitation?token=" + "a" * 43
        statuses = [browser.client.get(path, expect_errors=True).status_int for _ in range(21)]
        assert statuses[-1] == 429


def test_cookie_without_the_prefix_is_ignored(browser, google):
    """A site below the same domain can plant a cookie, but not with the prefix."""
    url = browser.start()
    value = browser.client.cookies[BROWSER]
    browser.client.reset()
    back = google.callback_url(url).removeprefix(HOST)
    answer = browser.client.get(back, headers={"Cookie": f"combine_browser2={value}"})
    browser.failure(answer, "state_mismatch", 400)
