"""Tests Authlib and requests-oauthlib with a running service."""

import pytest
import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import BackendApplicationClient, DeviceClient
from oauthlib.oauth2.rfc6749.errors import InvalidGrantError
from requests_oauthlib import OAuth2Session

from tests.oauth_clients.conftest import REDIRECT

pytestmark = pytest.mark.slow

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(autouse=True)
def http_on_this_machine(monkeypatch):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_authlib_gets_tokens_with_a_code(live, request, method):
    client = request.getfixturevalue("open_client" if method == "none" else "web_client")
    session = AuthlibSession(
        client.id,
        client.secret,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        scope="projects:read runs:read",
        redirect_uri=REDIRECT,
        code_challenge_method="S256",
    )
    verifier = "v" * 64
    endpoints = live.endpoints
    url, state = session.create_authorization_url(
        endpoints["authorization_endpoint"], code_verifier=verifier
    )
    back = live.person.decide(url)
    tokens = session.fetch_token(
        endpoints["token_endpoint"],
        authorization_response=back,
        state=state,
        code_verifier=verifier,
    )
    assert tokens["scope"] == "projects:read runs:read"
    assert session.get(live.me).json()["email"] == "local@localhost"

    renewed = session.refresh_token(endpoints["token_endpoint"])
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert session.get(live.me).status_code == 200
    if method != "none":
        told = session.introspect_token(
            endpoints["introspection_endpoint"], token=renewed["access_token"]
        )
        assert told.json()["active"] is True

    answer = session.revoke_token(
        endpoints["revocation_endpoint"],
        token=renewed["refresh_token"],
        token_type_hint="refresh_token",
    )
    assert answer.status_code == 200
    assert live.status(renewed["access_token"]) == 401
    with pytest.raises(OAuthError, match="invalid_grant"):
        session.refresh_token(endpoints["token_endpoint"], renewed["refresh_token"])


def test_authlib_reports_a_denial(live, open_client):
    session = AuthlibSession(open_client.id, redirect_uri=REDIRECT, code_challenge_method="S256")
    url, _ = session.create_authorization_url(
        live.endpoints["authorization_endpoint"], code_verifier="v" * 64
    )
    back = live.person.decide(url, "deny")
    assert back.startswith(f"{REDIRECT}?error=access_denied")
    # It has no code to show.
    with pytest.raises(OAuthError):
        session.fetch_token(live.endpoints["token_endpoint"], authorization_response=back)


def test_authlib_gets_a_token_for_itself(live, robot):
    session = AuthlibSession(robot.id, robot.secret, scope="runs:read")
    session.fetch_token(live.endpoints["token_endpoint"], grant_type="client_credentials")
    assert session.get(live.me).json()["email"] == f"client-{robot.id}@clients.invalid"


def test_authlib_gets_tokens_on_a_device(live):
    session = AuthlibSession("combine-cli", token_endpoint_auth_method="none")
    started = requests.post(
        live.endpoints["device_authorization_endpoint"],
        {"client_id": "combine-cli", "scope": "projects:read"},
        timeout=20,
    ).json()
    question = {"grant_type": DEVICE_GRANT, "device_code": started["device_code"]}
    with pytest.raises(OAuthError, match="authorization_pending"):
        session.fetch_token(live.endpoints["token_endpoint"], **question)
    live.person.approve(started["user_code"])
    session.fetch_token(live.endpoints["token_endpoint"], **question)
    assert session.get(live.me).status_code == 200


@pytest.mark.parametrize("public", [True, False])
def test_requests_oauthlib_gets_tokens_with_a_code(live, request, public):
    client = request.getfixturevalue("open_client" if public else "web_client")
    session = OAuth2Session(client.id, redirect_uri=REDIRECT, scope=["projects:read"], pkce="S256")
    endpoints = live.endpoints
    url, _ = session.authorization_url(endpoints["authorization_endpoint"])
    tokens = session.fetch_token(
        endpoints["token_endpoint"],
        authorization_response=live.person.decide(url),
        client_secret=client.secret,
        include_client_id=True,
    )
    assert session.get(live.me).json()["email"] == "local@localhost"
    more = {"client_id": client.id, **({"client_secret": client.secret} if client.secret else {})}
    renewed = session.refresh_token(endpoints["token_endpoint"], **more)
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert session.get(live.me).status_code == 200
    revocation = session._client.prepare_token_revocation_request(
        endpoints["revocation_endpoint"], renewed["refresh_token"], "refresh_token", **more
    )
    url, headers, body = revocation
    assert requests.post(url, data=body, headers=headers, timeout=20).status_code == 200
    assert live.status(renewed["access_token"]) == 401
    with pytest.raises(InvalidGrantError):
        session.refresh_token(endpoints["token_endpoint"], **more)


def test_requests_oauthlib_gets_a_token_for_itself(live, robot):
    session = OAuth2Session(client=BackendApplicationClient(robot.id))
    session.fetch_token(live.endpoints["token_endpoint"], client_secret=robot.secret)
    assert session.get(live.me).status_code == 200


def test_requests_oauthlib_gets_tokens_on_a_device(live):
    client = DeviceClient("combine-cli", scope=["projects:read"])
    started = requests.post(
        live.endpoints["device_authorization_endpoint"],
        {"client_id": "combine-cli", "scope": "projects:read"},
        timeout=20,
    ).json()
    live.person.approve(started["user_code"])
    session = OAuth2Session(client=client)
    session.fetch_token(
        live.endpoints["token_endpoint"],
        device_code=started["device_code"],
        include_client_id=True,
    )
    assert session.get(live.me).status_code == 200
