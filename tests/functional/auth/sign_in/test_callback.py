"""Tests the redirect to the provider and the callback: state, browser, issuer, code. T01 to T06."""

from __future__ import annotations

import logging
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.functional.auth.conftest import at_once
from tests.functional.auth.sign_in.conftest import (
    BROWSER,
    HOST,
    SESSION,
    Browser,
    audit,
    count,
    registration,
)
from tests.oidc_issuer import Fault, LyingIssuer


def state_of(url):
    return parse_qs(urlsplit(url).query)["state"][0]


def test_callback_signs_in(service, browser, google):
    answer = browser.sign_in(google, fields={"next": "/whoami?a=1"})
    assert answer.location == f"{HOST}/whoami?a=1"
    assert browser.whoami() == "ann@example.com"
    assert service.execute("SELECT email, name, is_admin FROM users") == [
        ("ann@example.com", "Ann Example", False)
    ]
    assert service.execute("SELECT issuer, subject, provider, email_verified FROM identities") == [
        (google.issuer, "110169484474386276334", "google", True)
    ]
    assert service.execute("SELECT provider FROM sessions") == [("google",)]
    assert audit(service) == ["ok"]
    assert audit(service, "user-create") == ["ok"]


def test_callback_signs_in_a_known_user(service, browser, google):
    browser.sign_in(google)
    Browser(service).sign_in(google)
    assert [count(service, table) for table in ("users", "identities", "sessions")] == [1, 1, 2]


def test_authorization_request_follows_the_standards(browser, google):
    url = urlsplit(browser.start())
    asked = {name: one for name, [one] in parse_qs(url.query).items()}
    assert asked["response_type"] == "code"
    assert asked["redirect_uri"] == f"{HOST}/auth/google/callback"
    assert asked["code_challenge_method"] == "S256"
    assert asked.get("response_mode", "query") == "query"
    assert {len(asked[name]) for name in ("state", "nonce", "code_challenge")} == {43}
    assert asked["scope"].split()[0] == "openid"


def test_table_contains_no_usable_secrets(service, browser, google):
    url = browser.start(next="/whoami")
    asked = {name: one for name, [one] in parse_qs(urlsplit(url).query).items()}
    [row] = service.execute("SELECT to_jsonb(a)::text FROM sign_in_attempts a")
    for secret in (asked["state"], asked["nonce"], browser.client.cookies[BROWSER]):
        assert secret not in row[0]
    browser.come_back(google.callback_url(url))
    verifier = google.token_requests[-1]["code_verifier"]
    [row] = service.execute("SELECT to_jsonb(a)::text FROM sign_in_attempts a")
    assert verifier not in row[0]


def test_browser_gets_a_cookie(browser):
    answer = browser.post("/auth/google/start", status=303)
    [cookie] = [c for c in answer.headers.getall("Set-Cookie") if c.startswith(f"{BROWSER}=")]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/;" in cookie
    assert "Max-Age=3600" in cookie


def test_deployed_cookie_has_the_host_prefix(make_service, google):
    service = make_service(
        {
            "combine_core.environment": "test",
            "combine_auth.local_sign_in": "false",
            "combine_core.public_url": "https://combine.example.com",
        }
    )
    client = service.client(HTTP_HOST="combine.example.com", **{"wsgi.url_scheme": "https"})
    page = client.get("/auth/sign-in")
    form = next(f for f in page.forms.values() if f.action == "/auth/google/start")
    answer = form.submit(headers={"Origin": "https://combine.example.com"})
    [cookie] = [c for c in answer.headers.getall("Set-Cookie") if "browser" in c]
    assert cookie.startswith("__Host-combine_browser=")
    assert "; secure" in cookie.lower()
    url = answer.location
    assert parse_qs(urlsplit(url).query)["redirect_uri"] == [
        "https://combine.example.com/auth/google/callback"
    ]
    back = google.callback_url(url).removeprefix("https://combine.example.com")
    done = client.get(back)
    assert done.status_int == 303
    assert any(c.startswith("__Host-combine_session=") for c in done.headers.getall("Set-Cookie"))


class TestT01LoginCsrf:
    """A callback with a valid code and the state of another browser."""

    def test_state_of_another_browser_is_rejected(self, service, browser, google):
        mallory = Browser(service)
        trap = google.callback_url(mallory.start(), sub="mallory")
        browser.start()
        page = browser.failure(browser.come_back(trap), "state_mismatch", 400)
        assert "not started here" in page
        assert google.counts["token"] == 0
        assert count(service, "sessions") == 0
        assert audit(service) == ["state_mismatch"]
        # The attempt of Mallory is still usable.
        assert mallory.come_back(trap).location == f"{HOST}/"

    def test_callback_without_a_cookie_is_rejected(self, service, google):
        trap = google.callback_url(Browser(service).start())
        victim = Browser(service)
        victim.failure(victim.come_back(trap), "state_mismatch", 400)
        assert google.counts["token"] == 0

    def test_signed_in_user_stays_signed_in(self, service, browser, google):
        browser.sign_in(google)
        trap = google.callback_url(
            Browser(service).start(), sub="mallory", email="mallory@example.com"
        )
        browser.failure(browser.come_back(trap), "state_mismatch", 400)
        assert browser.whoami() == "ann@example.com"

    @pytest.mark.parametrize("cookie", ["", "x", "\xff", "a" * 42, "a" * 44, "a" * 5000])
    def test_malformed_cookie_is_rejected(self, browser, google, cookie):
        url = browser.start()
        browser.client.reset()
        answer = browser.client.get(
            google.callback_url(url).removeprefix(HOST), headers={"Cookie": f"{BROWSER}={cookie}"}
        )
        browser.failure(answer, "state_mismatch", 400)


class TestT02State:
    """A missing, used or expired state."""

    def test_missing_state_is_rejected(self, service, browser, google):
        for query in ("", "?code=x", "?state=&code=x", "?error=access_denied"):
            answer = browser.client.get(f"/auth/google/callback{query}")
            browser.failure(answer, "state_missing", 400)
        # Anyone can repeat this. The audit gets one row per address and hour.
        assert audit(service) == ["state_missing"]

    @pytest.mark.parametrize("state", ["x", "a" * 43, "%00", "%ff" * 43, "a" * 10_000, "é" * 43])
    def test_unknown_state_is_rejected(self, browser, state):
        browser.start()
        answer = browser.client.get("/auth/google/callback", {"state": state, "code": "x"})
        browser.failure(answer, "state_mismatch", 400)

    def test_used_state_is_rejected(self, service, browser, google):
        back = google.callback_url(browser.start())
        browser.come_back(back)
        browser.client.cookies.pop(SESSION, None)
        browser.client.cookiejar.clear("localhost.local", "/", SESSION)
        assert browser.whoami() is None
        page = browser.failure(browser.come_back(back), "state_used", 400)
        assert "already finished" in page
        assert google.counts["token"] == 1

    def test_expired_state_is_rejected(self, service, browser, google):
        back = google.callback_url(browser.start())
        service.execute("UPDATE sign_in_attempts SET expires_at = now()")
        page = browser.failure(browser.come_back(back), "state_expired", 400)
        assert "10 minutes" in page
        assert google.counts["token"] == 0

    def test_attempt_lives_for_ten_minutes(self, service, browser):
        browser.start()
        assert service.execute("SELECT (expires_at - created_at)::text FROM sign_in_attempts") == [
            ("00:10:00",)
        ]

    @pytest.mark.parametrize("late", ["used", "expired", "missing"])
    def test_signed_in_user_is_redirected(self, service, browser, google, late):
        browser.sign_in(google)
        back = google.callback_url(browser.start(next="/whoami"))
        if late == "used":
            browser.come_back(back)
        if late == "expired":
            service.execute("UPDATE sign_in_attempts SET expires_at = now()")
        if late == "missing":
            back = f"{HOST}/auth/google/callback?code=x"
        goes_to = "/" if late == "missing" else "/whoami"
        assert browser.come_back(back).location == f"{HOST}{goes_to}"
        assert browser.whoami() == "ann@example.com"

    def test_repeated_parameter_is_rejected(self, browser, google):
        query = urlsplit(google.callback_url(browser.start())).query
        for again in (query, "code=x", "state=x", "iss=x&iss=y", "error=a&error=b"):
            answer = browser.client.get(f"/auth/google/callback?{query}&{again}")
            browser.failure(answer, "state_mismatch", 400)
        assert google.counts["token"] == 0


def test_t03_state_of_another_provider(service, browser, google, microsoft):
    """T03: Microsoft returns the state of Google."""
    back = google.callback_url(browser.start("google"))
    answer = browser.come_back(back.replace("/google/", "/microsoft/"))
    browser.failure(answer, "state_mismatch", 400)
    assert google.counts["token"] == microsoft.counts["token"] == 0
    assert count(service, "sessions") == 0


class TestT04MixUp:
    """The callback names another issuer (RFC 9207)."""

    def test_issuer_of_the_other_provider_is_rejected(self, service, browser, google, microsoft):
        url = browser.start("google")
        back = f"{google.callback_url(url)}&iss={microsoft.issuer}"
        browser.failure(browser.come_back(back), "issuer_mismatch", 400)
        assert google.counts["token"] == 0
        assert audit(service) == ["issuer_mismatch"]

    def test_own_issuer_is_accepted(self, browser, google):
        url = browser.start("google")
        browser.come_back(f"{google.callback_url(url)}&iss={google.issuer}")
        assert browser.whoami() == "ann@example.com"

    def test_missing_issuer_is_rejected_if_announced(self, make_service):
        with LyingIssuer(announces_iss=True) as careful:
            service = make_service(registration("google", careful))
            browser = Browser(service)
            url = browser.start()
            careful.announces_iss = False
            back = careful.callback_url(url)
            browser.failure(browser.come_back(back), "issuer_mismatch", 400)
            careful.announces_iss = True
            assert careful.counts["token"] == 0
            browser.sign_in(careful)
            assert browser.whoami() == "ann@example.com"


class TestT05Replay:
    """The user presses the back button or double-clicks."""

    def test_back_button_changes_nothing(self, browser, google):
        back = google.callback_url(browser.start(next="/whoami"))
        browser.come_back(back)
        for _ in range(3):
            assert browser.come_back(back).location == f"{HOST}/whoami"
        assert google.counts["token"] == 1

    def test_parallel_callbacks_redeem_the_code_once(self, service, browser, google):
        back = google.callback_url(browser.start())
        cookie = f"{BROWSER}={browser.client.cookies[BROWSER]}"
        answers = at_once(
            lambda client: client.get(back.removeprefix(HOST), headers={"Cookie": cookie}),
            [service.client() for _ in range(8)],
        )
        targets = sorted(urlsplit(answer.location).path for answer in answers)
        assert targets == ["/", *["/auth/error"] * 7]
        assert google.counts["token"] == 1
        assert count(service, "sessions") == 1


def test_t06_injected_code_is_rejected(service, browser, google):
    """T06: with the code of another sign-in, PKCE makes the provider reject it."""
    stolen = parse_qs(urlsplit(google.callback_url(Browser(service).start(), sub="ann")).query)
    url = browser.start()
    back = f"{HOST}/auth/google/callback?state={state_of(url)}&code={stolen['code'][0]}"
    page = browser.failure(browser.come_back(back), "login_expired", 400)
    assert "has expired" in page
    assert count(service, "sessions") == 0


class TestSeveralTabs:
    """Each tab has its own attempt. They share one cookie."""

    def test_all_tabs_succeed_in_any_order(self, service, browser, google):
        urls = [browser.start(next=f"/tab{number}") for number in range(5)]
        for number in (3, 0, 4, 1, 2):
            answer = browser.come_back(google.callback_url(urls[number]))
            assert answer.location == f"{HOST}/tab{number}"
        assert google.counts["token"] == 5
        # Each sign-in ended the session of the earlier one.
        assert count(service, "sessions") == 1

    def test_the_oldest_of_eleven_is_forgotten(self, service, browser, google):
        urls = [browser.start() for _ in range(11)]
        assert count(service, "sign_in_attempts") == 10
        browser.failure(browser.come_back(google.callback_url(urls[0])), "state_mismatch", 400)
        browser.come_back(google.callback_url(urls[1]))
        assert browser.whoami() == "ann@example.com"

    def test_used_attempts_are_not_counted(self, service, browser, google):
        for _ in range(12):
            browser.sign_in(google)
        url = browser.start()
        assert count(service, "sign_in_attempts") == 13
        browser.come_back(google.callback_url(url))

    def test_attempts_of_other_browsers_stay(self, service, browser, google):
        url = browser.start()
        other = Browser(service)
        for _ in range(12):
            other.start()
        browser.come_back(google.callback_url(url))
        assert browser.whoami() == "ann@example.com"


def test_old_attempts_are_deleted(service, browser):
    for _ in range(3):
        browser.start()
    service.execute(
        "UPDATE sign_in_attempts SET expires_at = now() - interval '61 minutes'"
        " WHERE id <> (SELECT id FROM sign_in_attempts ORDER BY id DESC LIMIT 1)"
    )
    browser.start()
    assert count(service, "sign_in_attempts") == 2


class TestSecretKey:
    """Rotation of the secret key, with an overlap."""

    OLD = "1f3b9a7c5d1e8246a9b0c7d3e5f18264"
    NEW = "2f3b9a7c5d1e8246a9b0c7d3e5f18264"

    def finish_with(self, make_service, google, settings):
        before = Browser(make_service({"combine_core.secret_key": self.OLD}))
        back = google.callback_url(before.start())
        after = Browser(make_service({"combine_core.secret_key": self.NEW, **settings}))
        after.client.set_cookie(BROWSER, before.client.cookies[BROWSER])
        return after, after.come_back(back)

    def test_attempts_in_progress_succeed(self, make_service, google):
        old = {"combine_core.secret_key_old": self.OLD}
        browser, _ = self.finish_with(make_service, google, old)
        assert browser.whoami() == "ann@example.com"

    def test_attempts_in_progress_fail_without_overlap(self, make_service, google, caplog):
        caplog.set_level(logging.INFO)
        browser, answer = self.finish_with(make_service, google, {})
        browser.failure(answer, "state_expired", 400)
        assert "SECRET_KEY_OLD" in caplog.text


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_callback_rejects_other_methods(browser, google, method):
    back = google.callback_url(browser.start()).removeprefix(HOST)
    answer = getattr(browser.client, method)(back, status=405)
    assert "GET" in answer.headers["Allow"]
    assert google.counts["token"] == 0


def test_database_error_after_the_provider_is_retried(service, browser, google):
    """A code works once, so the retry of pyramid_retry does not redeem it again."""
    from psycopg2.errors import SerializationFailure
    from sqlalchemy import event

    left = [SerializationFailure("could not serialize access")]

    def fail_once(_connection, _cursor, statement, *_rest):
        if "INSERT INTO sessions" in statement and left:
            raise left.pop()

    back = google.callback_url(browser.start())
    event.listen(service.engine, "before_cursor_execute", fail_once)
    try:
        answer = browser.come_back(back)
    finally:
        event.remove(service.engine, "before_cursor_execute", fail_once)
    assert left == []
    assert answer.location == f"{HOST}/"
    assert google.counts["token"] == 1
    assert browser.whoami() == "ann@example.com"


def test_provider_timeout_reveals_no_secrets(browser, google, caplog):
    """Neither the log nor the page contains the secret, the code or the state."""
    caplog.set_level(logging.DEBUG)
    google.faults["token"] = Fault(500, "canary-of-the-body")
    url = browser.start()
    back = google.callback_url(url)
    page = browser.failure(browser.come_back(back), "provider_unavailable", 503)
    code = parse_qs(urlsplit(back).query)["code"][0]
    for secret in (google.client_secret, code, state_of(url)):
        assert secret not in caplog.text
        assert secret not in page.text
