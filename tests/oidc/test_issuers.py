"""Tests the issuers themselves: a plain client signs in, and invalid requests are rejected."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet

from tests.oidc.issuer import CLIENT_ID, CLIENT_SECRET, OTHER_TENANT, TENANT, skip_without_node
from tests.oidc.visitor import Visitor

skip_without_node()

SERVICE = "http://127.0.0.1:9"
VERIFIER = secrets.token_urlsafe(48)


class PlainClient:
    """A minimal relying party without code of Combine."""

    def __init__(self, issuer, secret=CLIENT_SECRET):
        self.issuer = issuer
        self.discovery = requests.get(issuer.discovery_url, timeout=20).json()
        self.redirect_uri = f"{SERVICE}/auth/{issuer.name}/callback"
        self.wire = OAuth2Session(
            CLIENT_ID,
            secret,
            scope="openid email profile",
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
        )

    def authorization_url(self, verifier=VERIFIER, **parameters):
        url, _ = self.wire.create_authorization_url(
            self.discovery["authorization_endpoint"],
            state="a-state",
            nonce="a-nonce",
            code_verifier=verifier,
            **parameters,
        )
        return url

    def callback(self, browser, account="anna", **parameters):
        started = browser.get(self.authorization_url(**parameters))
        back = browser.agree(started, account) if account else browser.deny(started)
        query = parse_qs(urlsplit(back).query)
        return {name: value for name, (value,) in query.items()}

    def exchange(self, code, verifier=VERIFIER):
        return self.wire.fetch_token(
            self.discovery["token_endpoint"],
            grant_type="authorization_code",
            code=code,
            code_verifier=verifier,
            timeout=20,
        )

    def jwks(self):
        return requests.get(self.discovery["jwks_uri"], timeout=20).json()

    def claims(self, browser, account="anna", **parameters):
        token = self.exchange(self.callback(browser, account, **parameters)["code"])["id_token"]
        return jwt.decode(token, KeySet.import_key_set(self.jwks()), algorithms=["RS256"]).claims


@pytest.fixture
def browser():
    return Visitor(SERVICE)


@pytest.fixture(params=["google", "microsoft"])
def issuer(request):
    issuer = request.getfixturevalue(request.param)
    issuer.register(SERVICE)
    issuer.account("anna", email="anna@example.com")
    return issuer


def test_google_issues_correct_claims(google, browser):
    google.register(SERVICE)
    google.account("anna", email="anna@example.com", email_verified=True, hd="example.com")
    client = PlainClient(google)
    assert client.discovery["issuer"] == google.issuer == google.origin
    claims = client.claims(browser)
    assert claims["iss"] == google.issuer
    assert claims["aud"] == CLIENT_ID
    assert claims["nonce"] == "a-nonce"
    assert claims["sub"] == "google-anna"
    assert claims["email"] == "anna@example.com"
    assert claims["email_verified"] is True
    assert claims["hd"] == "example.com"
    assert claims["name"] == "Anna"


def test_microsoft_uses_a_template_as_issuer(microsoft, browser):
    microsoft.register(SERVICE)
    microsoft.account("anna", email="anna@example.com", xms_edov=True)
    client = PlainClient(microsoft)
    assert client.discovery["issuer"] == microsoft.issuer == f"{microsoft.origin}/{{tenantid}}/v2.0"
    assert {key["issuer"] for key in client.jwks()["keys"]} == {microsoft.issuer}
    claims = client.claims(browser)
    assert claims["iss"] == f"{microsoft.origin}/{TENANT}/v2.0"
    assert claims["tid"] == TENANT
    assert claims["oid"] == claims["sub"] == "microsoft-anna"
    assert claims["xms_edov"] is True
    assert "email_verified" not in claims


def test_users_of_another_tenant_have_another_issuer(microsoft, browser):
    microsoft.reset(tenant=OTHER_TENANT)
    microsoft.register(SERVICE)
    microsoft.account("anna", email="anna@example.com")
    claims = PlainClient(microsoft).claims(browser)
    assert claims["iss"] == f"{microsoft.origin}/{OTHER_TENANT}/v2.0"
    assert claims["tid"] == OTHER_TENANT


def test_a_sign_in_has_an_auth_time(issuer, browser):
    client = PlainClient(issuer)
    client.claims(browser)
    assert "auth_time" in client.claims(browser, prompt="login", max_age="0")


@pytest.mark.parametrize("prompt", ["login", "select_account"])
def test_a_signed_in_user_is_asked_again_on_request(issuer, browser, prompt):
    client = PlainClient(issuer)
    assert client.claims(browser)["sub"] == f"{issuer.name}-anna"
    issuer.account("ben", email="ben@example.com")
    assert client.claims(browser, "ben", prompt=prompt)["sub"] == f"{issuer.name}-ben"


def test_the_callback_names_the_issuer(issuer, browser):
    answer = PlainClient(issuer).callback(browser)
    tenant = issuer.issuer.replace("{tenantid}", TENANT)
    assert answer == {"code": answer["code"], "state": "a-state", "iss": tenant}


def test_a_denial_is_sent_to_the_client(issuer, browser):
    answer = PlainClient(issuer).callback(browser, account=None)
    assert answer["error"] == "access_denied"
    assert answer["state"] == "a-state"


def test_a_code_works_once_and_only_with_its_verifier(issuer, browser):
    client = PlainClient(issuer)
    code = client.callback(browser)["code"]
    client.exchange(code)
    with pytest.raises(Exception, match="invalid_grant"):
        client.exchange(code)
    code = client.callback(browser, prompt="login")["code"]
    with pytest.raises(Exception, match="invalid_grant"):
        client.exchange(code, verifier=secrets.token_urlsafe(48))


def test_a_wrong_secret_is_rejected(issuer, browser):
    client = PlainClient(issuer, secret="not-the-secret")
    code = client.callback(browser)["code"]
    with pytest.raises(Exception, match="invalid_client"):
        client.exchange(code)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"redirect_uri": f"{SERVICE}/auth/else/callback"}, "redirect_uri"),
        ({"client_id": "another"}, "client"),
    ],
)
def test_an_unregistered_redirect_uri_is_rejected(issuer, browser, changed, told):
    url = requests.Request(url=PlainClient(issuer).authorization_url()).prepare().url
    address, _, query = url.partition("?")
    parameters = {name: value for name, (value,) in parse_qs(query).items()} | changed
    answer = browser.get(address, params=parameters)
    assert answer.status_code == 400
    assert told in answer.text


def test_a_request_without_pkce_gets_no_code(issuer, browser):
    client = PlainClient(issuer)
    address, _, query = client.authorization_url().partition("?")
    parameters = {name: value for name, (value,) in parse_qs(query).items()}
    del parameters["code_challenge"], parameters["code_challenge_method"]
    answer = browser.get(address, params=parameters)
    assert "error=invalid_request" in answer.headers["Location"]


def test_keys_rotate_with_and_without_overlap(issuer, browser):
    client = PlainClient(issuer)
    (first,) = client.jwks()["keys"]
    issuer.rotate_keys(overlap=True)
    second, still = client.jwks()["keys"]
    assert still["kid"] == first["kid"]
    assert client.claims(browser)["sub"] == f"{issuer.name}-anna"
    issuer.rotate_keys(overlap=False)
    (third,) = client.jwks()["keys"]
    assert third["kid"] not in {first["kid"], second["kid"]}
    token = client.exchange(client.callback(browser, prompt="login")["code"])["id_token"]
    with pytest.raises(InvalidKeyIdError):
        jwt.decode(token, KeySet.import_key_set({"keys": [second]}), algorithms=["RS256"])


def test_faults_start_and_end(issuer):
    url = issuer.discovery_url
    issuer.fail("discovery", status=500, body="<h1>Oops</h1>", times=1)
    assert requests.get(url, timeout=20).status_code == 500
    assert requests.get(url, timeout=20).status_code == 200
    issuer.fail("discovery", reset=True)
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=20)
    issuer.mend()
    issuer.fail("discovery", hold=True)
    with pytest.raises(requests.ReadTimeout):
        requests.get(url, timeout=0.2)
    issuer.mend()
    issuer.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=20)
    issuer.start()
    assert requests.get(url, timeout=20).status_code == 200
    assert issuer.times_asked("discovery") == 5
