"""Tests the sign-in page, with and without configured providers. T31."""

from __future__ import annotations

import logging
import re

import pytest

from tests.functional.auth.conftest import DEVELOPMENT
from tests.functional.auth.sign_in.conftest import HOST, Browser
from tests.oidc_issuer import Fault


def actions(page):
    return [form.action for form in page.forms.values()]


def test_page_has_a_button_for_each_provider(browser, google):
    page = browser.client.get("/auth/sign-in?next=/whoami")
    assert actions(page) == ["/auth/google/start", "/auth/microsoft/start", "/auth/local"]
    words = [button.text for button in page.html.find("main").find_all("button")]
    assert words == ["Sign in with Google", "Sign in with Microsoft", "Sign in as local developer"]
    answer = page.forms[0].submit(status=303)
    assert browser.come_back(google.callback_url(answer.location)).location == f"{HOST}/whoami"


def test_page_needs_no_provider_and_no_database(service, browser, google, microsoft):
    with service.statements() as sent:
        browser.client.get("/auth/sign-in")
    assert sent == []
    assert not google.counts
    assert not microsoft.counts


def test_signed_in_user_is_redirected(browser, google):
    browser.sign_in(google)
    answer = browser.client.get("/auth/sign-in?next=/whoami", status=303)
    assert answer.location == f"{HOST}/whoami"


class TestT31NotConfigured:
    """An incomplete provider is hidden, named in a warning, and explained."""

    @pytest.mark.parametrize("secret", [None, "", "  ", "changeme", "your-client-secret"])
    def test_incomplete_provider_is_hidden(self, make_service, secret, caplog):
        caplog.set_level(logging.INFO)
        service = make_service({"combine_auth.google.client_secret": secret})
        browser = Browser(service)
        page = browser.client.get("/auth/sign-in")
        assert "/auth/google/start" not in actions(page)
        assert "/auth/microsoft/start" in actions(page)
        assert "GOOGLE_CLIENT_SECRET" in caplog.text
        for answer in (
            browser.client.get("/auth/google"),
            browser.post("/auth/google/start"),
            browser.client.get("/auth/google/callback?state=x&code=y"),
        ):
            failed = browser.failure(answer, "provider_not_configured", 404)
            assert "GOOGLE_CLIENT_SECRET" in failed.html.find("details").text
            assert f"{HOST}/auth/google/callback" in failed.html.find("details").text

    @pytest.mark.parametrize("name", ["nobody", "local", "x" * 31])
    def test_unknown_provider_gets_404(self, browser, name):
        for answer in (
            browser.post(f"/auth/{name}/start"),
            browser.client.get(f"/auth/{name}/callback?state=x&code=y"),
        ):
            page = browser.failure(answer, "provider_not_configured", 404)
            assert name.upper() not in page

    @pytest.mark.parametrize("name", ["Google", "x" * 32, "%2e%2e", "1x", "a-b"])
    def test_invalid_provider_name_is_rejected(self, browser, name):
        assert browser.post(f"/auth/{name}/start", expect_errors=True).status_int in {400, 404}

    def test_address_of_a_provider_redirects_to_sign_in(self, browser):
        assert browser.client.get("/auth/google").location == f"{HOST}/auth/sign-in"
        browser.client.post("/auth/google", status=405)

    def test_page_without_providers_explains_the_setup(self, make_service):
        service = make_service(
            {
                **{
                    f"combine_auth.{name}.{key}": None
                    for name in ("google", "microsoft")
                    for key in ("client_id", "client_secret", "issuer")
                },
                "combine_auth.local_sign_in": "false",
            }
        )
        page = service.client().get("/auth/sign-in")
        assert actions(page) == []
        text = re.sub(r"\s+", " ", page.html.find("main").text)
        for words in (
            "Sign-in is not configured",
            "GOOGLE_CLIENT_ID",
            "GOOGLE_CLIENT_SECRET",
            "MICROSOFT_CLIENT_ID",
            "MICROSOFT_CLIENT_SECRET",
            "combine token create",
        ):
            assert words in text


class TestSignOutOfTheProviderToo:
    def test_sign_out_of_the_provider_is_offered(self, browser, google):
        browser.sign_in(google)
        page = browser.post("/auth/sign-out", status=303).follow()
        link = page.html.find("a", string="Sign out of Google too")["href"]
        assert link.startswith(f"{google.issuer}/end-session?")
        assert "post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A8000%2Fauth%2Fsign-in" in link

    def test_sign_out_is_not_offered_without_an_endpoint(self, browser, google):
        google.metadata = {"end_session_endpoint": None}
        browser.sign_in(google)
        page = browser.post("/auth/sign-out", status=303).follow()
        assert "Sign out of" not in page.html.find("main").text

    def test_sign_out_is_not_offered_after_local_sign_in(self, browser):
        browser.post("/auth/local", status=303)
        answer = browser.post("/auth/sign-out", status=303)
        assert answer.location == f"{HOST}/auth/sign-in"

    @pytest.mark.parametrize("name", ["nobody", "<b>", "google&signed_out=microsoft"])
    def test_sign_out_is_not_offered_for_a_typed_name(self, browser, google, name):
        google.faults["discovery"] = Fault(500)
        page = browser.client.get(f"/auth/sign-in?signed_out={name}")
        assert "Sign out of" not in page.html.find("main").text


def test_policy_allows_forms_to_redirect_only_to_providers(service, google):
    """Chromium applies form-action to all redirects after a form is submitted."""
    client = service.client()
    plain = client.get("/auth/error", status=400).headers["Content-Security-Policy"]
    page = client.get("/auth/sign-in").headers["Content-Security-Policy"]
    origin = google.issuer
    assert "form-action 'self';" in plain
    assert re.search(rf"form-action 'self' https:[^;]* {re.escape(origin)}[^;]*;", page)
    assert re.sub("form-action [^;]*", "", page) == re.sub("form-action [^;]*", "", plain)


def test_policy_allows_no_other_origin_without_providers(database_url):
    from tests.functional.auth.conftest import Service

    service = Service({**DEVELOPMENT, "combine_core.database_url": database_url})
    page = service.client().get("/auth/sign-in")
    assert "form-action 'self';" in page.headers["Content-Security-Policy"]
    service.engine.dispose()
