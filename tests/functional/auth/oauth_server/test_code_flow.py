"""Tests the authorization code grant with PKCE (RFC 6749, 4.1; RFC 7636)."""

import pytest

from tests.functional.auth.oauth_server.conftest import BACK, SCOPES, query_of


@pytest.mark.parametrize("confidential", [True, False])
def test_a_client_gets_tokens_with_a_code(provider, confidential):
    client = provider.register(confidential=confidential)
    back = provider.consent(client)
    assert set(back) == {"code", "state", "iss"}
    assert (back["state"], back["iss"]) == ("s1", provider.issuer)
    answer = provider.redeem(client, back["code"])
    assert answer.status_int == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.content_type == "application/json"
    tokens = answer.json
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in", "scope"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
    assert tokens["scope"] == "projects:read runs:write"
    assert provider.user_of(tokens["access_token"]) == "ann@example.com"
    # A refresh token gives no access.
    assert provider.user_of(tokens["refresh_token"]) is None
    assert provider.audit()[-2:] == [("consent", "ok"), ("oauth-token", "ok")]


def test_consent_page_describes_the_scopes(provider, client_):
    page = provider.authorize(client_)
    assert "Nightly" in page
    assert "dev@example.com" in page
    assert "ann@example.com" in page
    assert [item.text for item in page.html.find(id="scopes").find_all("li")] == [
        "See your projects and the available lines (projects:read)",
        "Start, cancel and delete runs in your projects (runs:write)",
    ]
    assert "client.example.com" in page.html.find("main").text
    assert "no-store" in page.headers["Cache-Control"]


def test_names_cannot_inject(provider):
    client = provider.register(name="<script>alert(1)</script>")
    page = provider.authorize(client, state='"><script>x')
    assert "<script" not in page.text.partition("<main")[2]
    assert page.forms[len(page.forms) - 1]["state"].value == '"><script>x'


def test_a_stranger_signs_in_and_returns_to_the_consent_page(provider, client_):
    browser = provider.service.client()
    answer = provider.authorize(client_, browser, state="a b/ü")
    assert answer.status_int == 303
    assert answer.location.startswith("http://localhost:8000/auth/sign-in?next=")
    page = answer.follow()
    form = next(form for form in page.forms.values() if form.action == "/auth/local")
    page = form.submit().follow()
    assert "act for you" in page
    back = page.forms[len(page.forms) - 1].submit("decision", value="approve")
    assert query_of(back.location)["state"] == "a b/ü"


def test_a_denial_redirects_with_the_state(provider, client_):
    back = provider.consent(client_, decision="deny")
    assert back["error"] == "access_denied"
    assert (back["state"], back["iss"]) == ("s1", provider.issuer)
    assert provider.service.execute("SELECT count(*) FROM oauth_grants") == [(0,)]


def test_state_and_scope_are_optional(provider, client_):
    page = provider.authorize(client_, state=None, scope=None)
    assert len(page.html.find(id="scopes").find_all("li")) == len(SCOPES)
    back = page.forms[len(page.forms) - 1].submit("decision", value="approve")
    assert set(query_of(back.location)) == {"code", "iss"}


def test_a_single_redirect_uri_may_be_omitted(provider, client_):
    code = provider.code(client_, redirect_uri=None)
    assert provider.redeem(client_, code, redirect_uri=None).status_int == 200
    two = provider.register(redirect_uris=[BACK, f"{BACK}2"])
    assert provider.authorize(two, redirect_uri=None).status_int == 400


def test_an_explicit_redirect_uri_must_be_repeated(provider, client_):
    code = provider.code(client_)
    answer = provider.redeem(client_, code, redirect_uri=None)
    assert (answer.status_int, answer.json["error"]) == (400, "invalid_grant")


def test_client_without_the_refresh_grant_gets_no_refresh_token(provider):
    explorer = provider.register(confidential=False)
    provider.service.execute(
        "UPDATE oauth_clients SET grant_types = '{authorization_code}' WHERE client_id = :id",
        id=explorer.client_id,
    )
    assert "refresh_token" not in provider.tokens(explorer)


def test_a_token_cannot_give_consent(provider, client_):
    browser = provider.service.client()
    token = provider.service.token(provider.service.user())
    browser.extra_environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    answer = provider.authorize(client_, browser)
    assert answer.location.startswith("http://localhost:8000/auth/sign-in")


def test_stored_values_give_no_access(provider, client_):
    code = provider.code(client_)
    tokens = provider.redeem(client_, code).json
    rows = provider.service.execute(
        "SELECT string_agg(t::text, ' ') FROM (SELECT c::text FROM oauth_clients c UNION ALL"
        " SELECT t::text FROM oauth_tokens t UNION ALL SELECT c::text FROM oauth_codes c"
        " UNION ALL SELECT a::text FROM audit_events a) AS rows(t)"
    )
    [(everything,)] = rows
    for secret in (code, tokens["access_token"], tokens["refresh_token"], client_.secret):
        assert secret not in everything
        assert secret[8:] not in everything


def test_grants_page_lists_and_revokes_grants(provider, client_):
    browser = provider.browser()
    tokens = provider.tokens(client_, browser)
    page = browser.get("/account/grants")
    assert "Nightly" in page
    assert "Start, cancel and delete runs in your projects" in page
    assert page.html.find("main").text.count("never") == 1
    provider.user_of(tokens["access_token"])
    page = browser.get("/account/grants")
    assert "never" not in page.html.find("main").text
    form = next(form for form in page.forms.values() if "/grants/" in form.action)
    # No other user can revoke it.
    eve = provider.browser("eve@example.com")
    csrf = eve.get("/account").forms[0]["csrf_token"].value
    assert "Nightly" not in eve.get("/account/grants")
    eve.post(form.action, {"csrf_token": csrf}, status=404)
    assert provider.user_of(tokens["access_token"]) == "ann@example.com"
    browser.get(form.action, status=405)
    assert form.submit().follow().html.find("main").find("form") is None
    assert provider.user_of(tokens["access_token"]) is None
    assert provider.refresh(client_, tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert provider.audit()[-1] == ("consent-revoke", "ok")
