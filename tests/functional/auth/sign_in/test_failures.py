"""Tests the reports of sign-in failures to users, operators, the log and the audit. T18, T19, every code."""

from __future__ import annotations

import logging
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from combine_auth.failures import FailureCode
from combine_auth.health import sign_in
from combine_auth.sign_in.failures import FAILURE_PAGES, failure_counts
from tests.functional.auth.sign_in.conftest import HOST, Browser, audit, count
from tests.oidc_issuer import Fault


class TestT18AccessDenied:
    """The user pressed Cancel."""

    def test_cancel_shows_a_calm_page(self, service, browser, google, caplog):
        caplog.set_level(logging.INFO)
        back = google.deny(browser.start())
        page = browser.failure(browser.come_back(back), "access_denied", 400)
        assert "Cancel" in page
        [line] = [r for r in caplog.records if "access_denied" in r.getMessage()]
        assert line.levelno == logging.INFO
        assert google.counts["token"] == 0
        assert audit(service) == ["access_denied"]

    def test_text_of_the_provider_is_not_shown(self, service, browser, google, caplog):
        caplog.set_level(logging.INFO)
        evil = "<script>alert(1)</script>\r\nSet-Cookie: a=b\r\n\x00\x1b[31m" + "x" * 2000
        back = google.deny(browser.start(), error_description=evil)
        answer = browser.come_back(back)
        page = browser.failure(answer, "access_denied", 400)
        for part in (*answer.headers.values(), page.text):
            assert "alert" not in part
            assert "xxx" not in part
        assert "a=b" not in answer.headers.getall("Set-Cookie")
        [line] = [r.getMessage() for r in caplog.records if "access_denied" in r.getMessage()]
        assert "alert(1)" in line
        assert "\n" not in line
        assert "\x1b" not in line
        assert len(line) < 500
        [(detail,)] = service.execute("SELECT details->>'detail' FROM audit_events")
        assert "alert(1)" in detail
        assert len(detail) < 500

    def test_error_without_a_state_is_rejected(self, service, browser, google):
        foreign = google.deny(Browser(service).start())
        browser.failure(browser.come_back(foreign), "state_mismatch", 400)

    def test_error_uses_up_the_attempt(self, browser, google):
        url = browser.start()
        browser.come_back(google.deny(url))
        browser.failure(browser.come_back(google.callback_url(url)), "state_used", 400)


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        ("login_required", "login_expired", 400),
        ("temporarily_unavailable", "provider_unavailable", 503),
        ("server_error", "provider_unavailable", 503),
        ("unauthorized_client", "invalid_client", 502),
        ("invalid_request", "provider_error", 502),
        ("unknown_words", "provider_error", 502),
        ("", "provider_error", 502),
        ("\x00\xff<b>", "provider_error", 502),
    ],
)
def test_t19_callback_errors_have_codes(browser, google, error, code, status):
    """T19: an unknown error gets the generic code."""
    back = google.deny(browser.start(), error=error)
    page = browser.failure(browser.come_back(back), code, status)
    assert "<b>" not in page


def test_callback_without_code_and_error_is_rejected(browser, google):
    back = google.callback_url(browser.start()).partition("&code=")[0]
    browser.failure(browser.come_back(back), "provider_error", 502)
    assert google.counts["token"] == 0


class TestProviderDown:
    """The page is a 503 with Retry-After, and the other provider still works."""

    def test_unreachable_provider_at_the_start_gets_503(self, service, browser, google, microsoft):
        google.faults["discovery"] = Fault(500)
        answer = browser.post("/auth/google/start")
        page = browser.failure(answer, "provider_unavailable", 503)
        assert int(page.headers["Retry-After"]) > 0
        assert "Google" in page.html.find("h1").text
        assert count(service, "sign_in_attempts") == 0
        browser.sign_in(microsoft, "microsoft")
        assert browser.whoami() is not None

    @pytest.mark.parametrize(
        "fault", [Fault(503), Fault(reset=True), Fault(cut=True), Fault(500, "<html>")]
    )
    def test_unreachable_provider_at_the_callback_gets_503(self, service, browser, google, fault):
        google.faults["token"] = fault
        answer = browser.come_back(google.callback_url(browser.start()))
        page = browser.failure(answer, "provider_unavailable", 503)
        assert "Retry-After" in page.headers
        assert count(service, "sessions") == 0
        assert audit(service) == ["provider_unavailable"]

    @pytest.mark.parametrize("expires_in", [float("inf"), float("nan"), {"a": 1}, "9" * 5000])
    def test_impossible_expires_in_is_rejected(self, service, browser, google, expires_in):
        google.token_answer = lambda honest: {**honest, "expires_in": expires_in}
        answer = browser.come_back(google.callback_url(browser.start()))
        browser.failure(answer, "provider_error", 502)
        assert audit(service) == ["provider_error"]

    def test_sign_in_works_after_the_provider_recovers(self, browser, google):
        google.faults["token"] = Fault(503, times=1)
        browser.come_back(google.callback_url(browser.start()))
        browser.sign_in(google)
        assert browser.whoami() == "ann@example.com"


class TestInvalidClient:
    """The remedy in the runbook is "OAuth Login Fails"."""

    def page(self, browser, google):
        google.client_secret = "another"
        answer = browser.come_back(google.callback_url(browser.start()))
        return answer, browser.failure(answer, "invalid_client", 502)

    def test_page_tells_the_operator_the_remedy(self, browser, google):
        _, page = self.page(browser, google)
        assert page.html.find("h1").text == "Invalid client"
        steps = page.html.find("details").text
        for words in (
            "GOOGLE_CLIENT_ID",
            "GOOGLE_CLIENT_SECRET",
            f"{HOST}/auth/google/callback",
            "ALLOWED_ORIGINS",
            HOST,
        ):
            assert words in steps

    def test_log_has_one_line_with_the_remedy(self, browser, google, caplog):
        caplog.set_level(logging.INFO)
        self.page(browser, google)
        [line] = [r for r in caplog.records if "invalid_client" in r.getMessage()]
        assert line.levelno == logging.ERROR
        assert "GOOGLE_CLIENT_SECRET" in line.getMessage()
        assert f"{HOST}/auth/google/callback" in line.getMessage()

    def test_secret_is_not_shown_or_logged(self, service, browser, google, caplog):
        caplog.set_level(logging.DEBUG)
        secret = google.client_secret
        answer, page = self.page(browser, google)
        for place in (str(answer.headers), page.text, caplog.text):
            assert secret not in place
        [row] = service.execute("SELECT to_jsonb(a)::text FROM audit_events a")
        assert secret not in row[0]


class TestCounts:
    """Counts of failures in the health check, and the limit on audit events during a flood."""

    @pytest.fixture(autouse=True)
    def counts(self, service):
        service.registry.pop("combine_auth.failure_counts", None)
        yield failure_counts(service.registry)
        service.registry.pop("combine_auth.failure_counts", None)

    def test_ten_refusals_of_the_secret_degrade_the_check(self, service, browser, google):
        honest = google.client_secret
        google.client_secret = "another"
        for number in range(10):
            assert sign_in(service.registry).cause != "wrong_secret", number
            browser.come_back(google.callback_url(browser.start()))
        found = sign_in(service.registry)
        assert (found.status, found.cause) == ("degraded", "wrong_secret")
        assert "GOOGLE_CLIENT_SECRET" in found.detail
        assert "GOOGLE_CLIENT_SECRET" not in str(found.data)
        assert found.data["failed_sign_ins"] == {"google": {"invalid_client": 10}}
        google.client_secret = honest
        browser.sign_in(google)
        found = sign_in(service.registry)
        assert found.cause != "wrong_secret"
        assert found.data["failed_sign_ins"] == {"google": {"invalid_client": 10}}

    def test_invalid_client_in_the_query_is_not_counted_as_wrong_secret(
        self, service, browser, counts
    ):
        for _ in range(10):
            state = parse_qs(urlsplit(browser.start()).query)["state"][0]
            query = {"state": state, "error": "invalid_client"}
            browser.client.get("/auth/google/callback", query, status=303)
        assert counts.by_provider_and_code() == {("google", "invalid_client"): 10}
        assert counts.secret_refusals() == {}

    def test_invented_provider_name_is_counted_as_unknown(self, browser, counts):
        browser.client.get("/auth/made_up/callback", status=303)
        assert counts.by_provider_and_code() == {("unknown", "provider_not_configured"): 1}

    def test_audit_gets_one_row_per_address_and_hour(self, service):
        for address in ("192.0.2.1", "192.0.2.2"):
            client = service.client(REMOTE_ADDR=address)
            for query in ("", "?state=x&code=y", "?error=access_denied"):
                client.get(f"/auth/google/callback{query}", status=303)
        assert audit(service) == ["state_missing"] * 2
        with service.session() as session:
            # Events cannot be changed, so the test moves the clock of the limit instead.
            session.execute(sa.text("SET LOCAL session_replication_role = replica"))
            session.execute(
                sa.text("UPDATE audit_events SET created_at = created_at - interval '61 minutes'")
            )
        client.get("/auth/google/callback", status=303)
        assert audit(service) == ["state_missing"] * 3


class TestErrorPage:
    """The page is the same for a user who types its address."""

    @pytest.mark.parametrize("code", list(FailureCode))
    def test_every_code_has_a_text(self, browser, code):
        words = FAILURE_PAGES[code]
        page = browser.client.get("/auth/error", {"code": code}, status=words.status)
        assert page.html.find("h1").text == words.title.format(provider="The provider")
        assert "{" not in page.html.find("main").text
        if words.status in {429, 503}:
            assert page.headers["Retry-After"] == str(words.retry_after)
        assert words.status in {400, 403, 404, 409, 429, 502, 503}

    @pytest.mark.parametrize("query", ["", "?code=x", "?code[]=1", "?" + "a&" * 5000])
    def test_unknown_code_gets_the_generic_text(self, browser, query):
        page = browser.client.get(f"/auth/error{query}", status=400)
        assert page.html.find("h1").text == "This sign-in did not work"

    def test_parameters_are_not_shown(self, browser):
        page = browser.client.get(
            "/auth/error",
            {
                "code": "provider_unavailable",
                "provider": "<b>evil.example</b>",
                "request": "call 555-1234 now",
                "after": "1\r\nX: y",
            },
            status=503,
        )
        assert page.headers["Retry-After"] == "30"
        for text in ("evil.example", "555-1234", "EVIL"):
            assert text not in page.text

    def test_page_sends_no_statement(self, service, browser, google):
        browser.sign_in(google)
        with service.statements() as sent:
            browser.client.get("/auth/error", {"code": "provider_unavailable"}, status=503)
        assert sent == []

    def test_page_shows_the_id_of_the_failed_request(self, service, browser, google):
        answer = browser.client.get(
            "/auth/google/callback", headers={"X-Request-ID": "failed-request-1"}
        )
        assert parse_qs(urlsplit(answer.location).query)["request"] == ["failed-request-1"]
        page = browser.failure(answer, "state_missing", 400)
        assert "failed-request-1" in page.text
        [(stored,)] = service.execute("SELECT request_id FROM audit_events")
        assert stored == "failed-request-1"

    def test_location_contains_no_code_or_state(self, browser, google):
        """Code and state are not in the address of the page."""
        google.faults["token"] = Fault(503)
        back = google.callback_url(browser.start())
        answer = browser.come_back(back)
        assert set(parse_qs(urlsplit(answer.location).query)) <= {
            "code",
            "provider",
            "after",
            "request",
        }


@pytest.mark.parametrize(
    "address", ["error?code", "sign-in?next", "invitation?token", "google/callback?state"]
)
def test_undecodable_query_is_rejected(browser, address):
    page = browser.client.get(f"/auth/{address}=%ff", status=400)
    assert "not UTF-8" in page.html.find("main").text


def test_failure_rolls_back_all_changes(service, browser, google):
    """A failure late in the transaction stores nothing."""
    user = service.user("ann@example.com")
    answer = browser.sign_in(google)
    browser.failure(answer, "email_in_use", 409)
    assert service.execute("SELECT id FROM users") == [(user.id,)]
    assert count(service, "identities") == 0
    assert audit(service) == ["email_in_use"]
