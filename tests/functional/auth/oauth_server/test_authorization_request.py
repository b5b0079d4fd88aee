"""Tests the requests that the authorization endpoint rejects, and where it reports it. T32, T33, T37, T41."""

from urllib.parse import urlencode

import pytest

from tests.functional.auth.oauth_server.conftest import BACK, challenge_of, query_of


def check_error_page(answer, why=""):
    """Check that the response is an error page without a redirect."""
    assert answer.status_int == 400
    assert "Location" not in answer.headers
    assert why in answer.html.find(role="alert").text


def check_redirect_with_error(answer, error, provider):
    """Check that the response redirects to the client with this error."""
    assert answer.status_int == 303
    assert answer.location.startswith(BACK + "?")
    query = query_of(answer.location)
    assert (query["error"], query["state"], query["iss"]) == (error, "s1", provider.issuer)
    assert "code" not in query


@pytest.mark.parametrize(
    "uri",
    [
        BACK + "/",
        BACK + "?x=1",
        BACK + "#f",
        BACK.upper(),
        BACK.replace("https", "http"),
        BACK.replace("client.", "client.example.com@evil."),
        BACK.replace(".com", ".com.evil.org"),
        BACK.replace(".com/", ".com:8443/"),
        BACK + "/../back",
        BACK + "%2e",
        BACK + "\\",
        BACK + " ",
        BACK + "\x00",
        "javascript:alert(1)",
        "//client.example.com/back",
        "/back",
        "back",
        "é",
        "http://127.0.0.1/back",
        "x" * 10_000,
    ],
)
def test_t32_redirect_uri_must_match_exactly(provider, client_, uri):
    check_error_page(provider.authorize(client_, redirect_uri=uri))


@pytest.mark.parametrize(
    ("registered", "asked", "fits"),
    [
        ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb", True),
        ("http://127.0.0.1:8000/cb", "http://127.0.0.1:9/cb", True),
        ("http://127.0.0.1:8000/cb", "http://127.0.0.1/cb", True),
        ("http://[::1]/cb", "http://[::1]:49152/cb", True),
        ("http://127.0.0.1/cb", "http://[::1]:1/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb2", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb?x", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:123456/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1@evil.org/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.10:1/cb", False),
        ("http://127.0.0.1/cb", "https://127.0.0.1:1/cb", False),
        ("http://localhost/cb", "http://localhost/cb", True),
        ("http://localhost/cb", "http://localhost:1/cb", False),
        ("https://127.0.0.1/cb", "https://127.0.0.1:1/cb", False),
        ("com.example.app:/cb", "com.example.app:/cb", True),
        ("com.example.app:/cb", "com.example.app:/cb2", False),
    ],
)
def test_t32_loopback_port_may_vary(provider, registered, asked, fits):
    client = provider.register(confidential=False, redirect_uris=[registered])
    answer = provider.authorize(client, redirect_uri=asked)
    if fits:
        back = answer.forms[len(answer.forms) - 1].submit("decision", value="approve")
        assert back.location.startswith(asked + "?code=")
        code = query_of(back.location)["code"]
        assert provider.redeem(client, code, redirect_uri=asked).status_int == 200
    else:
        check_error_page(answer)


@pytest.mark.parametrize("client_id", [None, "", "unknown", "x" * 100, "\x00", "é", "a b"])
def test_t32_unknown_client_gets_an_error_page(provider, client_, client_id):
    check_error_page(provider.authorize(client_, client_id=client_id))


def test_t32_disabled_client_or_owner_gets_an_error_page(provider, client_):
    provider.service.execute("UPDATE users SET disabled_at = now() WHERE email = 'dev@example.com'")
    check_error_page(provider.authorize(client_))
    provider.service.execute("UPDATE users SET disabled_at = NULL")
    assert provider.authorize(client_).status_int == 200
    provider.service.execute("UPDATE oauth_clients SET disabled_at = now()")
    check_error_page(provider.authorize(client_))


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
        # Without a method, the method is plain (RFC 7636, 4.3).
        {"code_challenge_method": None},
        {"code_challenge_method": "s256"},
        {"code_challenge_method": "none"},
        {"code_challenge": "a" * 42},
        {"code_challenge": "a" * 44},
        {"code_challenge": "a" * 42 + "="},
        {"code_challenge": "a" * 42 + "+"},
        {"code_challenge": "a" * 42 + "é"},
        {"code_challenge": "a" * 10_000},
    ],
)
@pytest.mark.parametrize("confidential", [True, False])
def test_t33_every_client_needs_pkce_with_s256(provider, confidential, changes):
    client = provider.register(confidential=confidential)
    check_redirect_with_error(provider.authorize(client, **changes), "invalid_request", provider)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": "xcode"}, "unsupported_response_type"),
        ({"response_type": "none"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"scope": "projects:read admin"}, "invalid_scope"),
        ({"scope": "sources:write"}, "invalid_scope"),
        ({"scope": "x" * 3000}, "invalid_scope"),
        ({"scope": " "}, "invalid_scope"),
    ],
)
def test_other_errors_are_sent_to_the_client(provider, client_, changes, error):
    check_redirect_with_error(provider.authorize(client_, **changes), error, provider)


def test_client_without_the_code_grant_is_rejected(provider, client_):
    provider.service.execute("UPDATE oauth_clients SET grant_types = '{client_credentials}'")
    check_redirect_with_error(provider.authorize(client_), "unauthorized_client", provider)


def test_too_long_state_is_rejected(provider, client_):
    answer = provider.authorize(client_, state="s" * 501)
    assert query_of(answer.location)["error"] == "invalid_request"
    assert provider.authorize(client_, state="s" * 500).status_int == 200


@pytest.mark.parametrize(
    "extra",
    [
        "&client_id=other",
        "&redirect_uri=https://evil.org",
        "&state=s2",
        "&code_challenge=x",
        "&state=%00",
        "&x=1" * 60,
    ],
)
def test_t39_repeated_or_unreadable_parameter_gets_an_error_page(provider, client_, extra):
    query = urlencode(provider.request(client_))
    check_error_page(provider.browser().get(f"/oauth/authorize?{query}{extra}", expect_errors=True))


def test_a_query_that_is_not_utf8_gets_400(provider, client_):
    query = urlencode(provider.request(client_))
    answer = provider.browser().get(f"/oauth/authorize?{query}&scope=%FF", expect_errors=True)
    assert answer.status_int == 400
    assert "Location" not in answer.headers


def test_t37_scopes_that_the_client_lacks_are_rejected(provider, client_):
    check_redirect_with_error(
        provider.authorize(client_, scope="documents:read"), "invalid_scope", provider
    )


def test_t41_the_consent_page_cannot_be_framed(provider, client_):
    policy = provider.authorize(client_).headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://client.example.com;" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert provider.authorize(client_).headers["X-Frame-Options"] == "DENY"


def test_t41_a_form_of_another_site_cannot_consent(provider, client_):
    browser = provider.browser()
    page = provider.authorize(client_, browser)
    fields = dict(page.forms[len(page.forms) - 1].submit_fields()) | {"decision": "approve"}
    without = {name: value for name, value in fields.items() if name != "csrf_token"}
    browser.post("/oauth/authorize", without, status=400)
    browser.post("/oauth/authorize", {**fields, "csrf_token": "0" * 32}, status=400)
    foreign = {"Origin": "https://evil.example"}
    browser.post("/oauth/authorize", fields, headers=foreign, status=400)
    assert provider.service.execute("SELECT count(*) FROM oauth_grants") == [(0,)]
    assert browser.post("/oauth/authorize", fields).status_int == 303


def test_t41_get_never_consents(provider, client_):
    query = urlencode({**provider.request(client_), "decision": "approve"})
    assert "act for you" in provider.browser().get(f"/oauth/authorize?{query}")
    assert provider.service.execute("SELECT count(*) FROM oauth_grants") == [(0,)]


def test_t41_posted_parameters_are_checked_again(provider, client_):
    browser = provider.browser()
    page = provider.authorize(client_, browser)
    form = page.forms[len(page.forms) - 1]
    form["redirect_uri"] = "https://evil.example/back"
    check_error_page(form.submit("decision", value="approve", expect_errors=True))
    form = provider.authorize(client_, browser).forms
    form = form[len(form) - 1]
    form["scope"] = "sources:write"
    check_redirect_with_error(form.submit("decision", value="approve"), "invalid_scope", provider)


def test_t41_prompt_none_is_rejected(provider, client_):
    answer = provider.authorize(client_, provider.service.client(), prompt="none")
    check_redirect_with_error(answer, "login_required", provider)
    check_redirect_with_error(
        provider.authorize(client_, prompt="none"), "consent_required", provider
    )


def test_t41_consent_after_sign_out_is_rejected(provider, client_):
    browser = provider.browser()
    page = provider.authorize(client_, browser)
    provider.service.execute("DELETE FROM sessions")
    answer = page.forms[len(page.forms) - 1].submit("decision", value="approve")
    assert answer.location.startswith("http://localhost:8000/auth/sign-in?next=")
    assert provider.service.execute("SELECT count(*) FROM oauth_grants") == [(0,)]


def test_pkce_example_of_the_specification():
    # This is the example in RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


class TestConsentIsBoundToWhatWasShown:
    """A changed form grants nothing and does not redirect."""

    @pytest.fixture
    def form(self, provider, client_):
        page = provider.authorize(client_)
        return page.forms[len(page.forms) - 1]

    @pytest.fixture(autouse=True)
    def nothing_granted(self, provider):
        yield
        assert provider.service.execute("SELECT count(*) FROM oauth_grants") == [(0,)]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("scope", "projects:read runs:read runs:write"),
            ("scope", "projects:read"),
            ("scope", ""),
            ("state", "s2"),
            ("state", ""),
            ("redirect_uri", "https://client.example.com/other"),
            ("redirect_uri", ""),
            ("code_challenge", challenge_of("w" * 43)),
        ],
    )
    @pytest.mark.parametrize("decision", ["approve", "deny"])
    def test_changed_parameter_is_rejected(self, provider, form, name, value, decision):
        provider.service.execute(
            "UPDATE oauth_clients SET redirect_uris = redirect_uris || :uri",
            uri=["https://client.example.com/other"],
        )
        form[name] = value
        answer = form.submit("decision", value=decision, expect_errors=True)
        check_error_page(answer)

    def test_form_of_another_client_is_rejected(self, provider, form):
        form["client_id"] = provider.register(name="Other").client_id
        check_error_page(
            form.submit("decision", value="approve", expect_errors=True),
            "has changed since the page was shown",
        )

    @pytest.mark.parametrize("page", ["", "x", "x" * 43])
    def test_form_without_a_page_is_rejected(self, form, page):
        form["page"] = page
        check_error_page(form.submit("decision", value="approve", expect_errors=True), "too long")

    def test_expired_page_is_rejected(self, provider, form):
        provider.service.execute(
            "UPDATE oauth_consent_pages SET expires_at = now() - interval '1 second'"
        )
        check_error_page(form.submit("decision", value="approve", expect_errors=True), "too long")

    def test_page_of_another_user_is_rejected(self, provider, client_, form):
        page = provider.authorize(client_, provider.browser("bob@example.com"))
        others = page.forms[len(page.forms) - 1]
        others["page"] = form["page"].value
        check_error_page(others.submit("decision", value="approve", expect_errors=True), "too long")

    def test_changed_registration_is_rejected(self, provider, client_):
        page = provider.authorize(client_, scope=None)
        provider.service.execute(
            "UPDATE oauth_clients SET scopes = scopes || :more", more=["sources:write"]
        )
        form = page.forms[len(page.forms) - 1]
        check_error_page(
            form.submit("decision", value="approve", expect_errors=True),
            "has changed since the page was shown",
        )


def test_the_page_names_who_registered_the_program_and_when(provider, client_):
    shown = provider.authorize(client_).html.find(id="registered-by")
    assert "dev@example.com" in shown.text
    assert shown.find("time") is not None


def test_only_administrators_grant_the_scopes_of_administrators(provider):
    provider.service.user("dev@example.com")
    provider.service.execute("UPDATE users SET is_admin = true")
    client = provider.register(scopes=["runs:read", "users:write"])
    assert provider.tokens(client, scope=None)["scope"] == "runs:read"
    check_redirect_with_error(
        provider.authorize(client, scope="users:write"), "invalid_scope", provider
    )
    browser = provider.browser("dev@example.com")
    assert provider.tokens(client, browser, scope=None)["scope"] == "runs:read users:write"
