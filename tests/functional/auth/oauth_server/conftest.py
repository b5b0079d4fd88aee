"""Fixtures for an OAuth client; a test passes only the parameters that it changes."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from webtest import TestApp

from combine_auth.clients.built_in import CLI
from combine_auth.clients.service import ClientRegistration, register_client
from combine_core.settings import CoreSettings, settings_of
from tests.functional.auth.conftest import COOKIE, Service

BACK = "https://client.example.com/back"
VERIFIER = "v" * 43
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SCOPES = ("projects:read", "runs:read", "runs:write")


def challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def query_of(location: str) -> dict[str, str]:
    query = parse_qs(urlsplit(location).query, strict_parsing=True)
    assert all(len(values) == 1 for values in query.values())
    return {name: values[0] for name, values in query.items()}


@dataclass(frozen=True)
class Client:
    """A registered client."""

    client_id: str
    secret: str | None

    @property
    def fields(self) -> dict[str, str]:
        """Return the form fields that authenticate the client in the request body."""
        named = {"client_id": self.client_id}
        return named if self.secret is None else {**named, "client_secret": self.secret}


# This client is built in and needs no registration.
COMMAND_LINE = Client(CLI, None)


class Provider:
    """The service as used by OAuth clients and by the users who authorize them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.issuer = settings_of(service.registry, CoreSettings).public_url
        # Programs send no cookie.
        self.wire = service.client()

    def register(self, *, owner: str = "dev@example.com", **registration: Any) -> Client:
        registration = {
            "name": "Nightly",
            "redirect_uris": [BACK],
            "scopes": SCOPES,
            **registration,
        }
        with self.service.session() as session:
            user = self.service.user(owner)
            client, secret = register_client(session, user.id, ClientRegistration(**registration))
            return Client(client.client_id, secret)

    def browser(self, email: str = "ann@example.com") -> TestApp:
        """Return a browser with a session of this user."""
        client = self.service.client()
        client.set_cookie(COOKIE, self.service.cookie(self.service.user(email)))
        return client

    def request(self, client: Client, **changes: str | None) -> dict[str, str]:
        """Return the parameters of an authorization request. ``None`` omits a parameter."""
        parameters = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": BACK,
            "scope": "projects:read runs:write",
            "state": "s1",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def authorize(self, client: Client, browser: TestApp | None = None, **changes: Any) -> Any:
        """Send an authorization request and return the response."""
        query = urlencode(self.request(client, **changes))
        return (browser or self.browser()).get(f"/oauth/authorize?{query}", expect_errors=True)

    def consent(
        self, client: Client, browser: TestApp | None = None, decision: str = "approve", **changes
    ) -> dict[str, str]:
        """Submit the user's decision and return the query parameters of the redirect to the client."""
        page = self.authorize(client, browser, **changes)
        assert page.status_int == 200, page.text
        answer = page.forms[len(page.forms) - 1].submit("decision", value=decision)
        assert answer.status_int == 303
        return query_of(answer.location)

    def code(self, client: Client, browser: TestApp | None = None, **changes: Any) -> str:
        return self.consent(client, browser, **changes)["code"]

    def token(self, fields: dict[str, str | None], **options: Any) -> Any:
        """Post these fields to the token endpoint and return the response."""
        given = {name: value for name, value in fields.items() if value is not None}
        return self.wire.post("/oauth/token", given, expect_errors=True, **options)

    def redeem(self, client: Client, code: str, **changes: str | None) -> Any:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
            **client.fields,
            **changes,
        }
        return self.token(fields)

    def tokens(self, client: Client, browser: TestApp | None = None, **changes: Any) -> Any:
        """Return the tokens that a client got by a consent."""
        answer = self.redeem(client, self.code(client, browser, **changes))
        assert answer.status_int == 200, answer.text
        return answer.json

    def refresh(self, client: Client, refresh_token: str, **changes: str | None) -> Any:
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token, **client.fields}
        return self.token({**fields, **changes})

    def user_of(self, access_token: str) -> str | None:
        """Return the user whose access the token gives."""
        headers = {"Authorization": f"Bearer {access_token}"}
        email: str | None = self.wire.get("/whoami", headers=headers).json["email"]
        return email

    def audit(self) -> list[tuple[str, str]]:
        return [
            tuple(row)
            for row in self.service.execute("SELECT action, outcome FROM audit_events ORDER BY id")
        ]


def refused(answer: Any, status: int, error: str) -> None:
    """Check that the response is this error, in the form of RFC 6749."""
    assert (answer.status_int, answer.json["error"]) == (status, error), answer.text
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert set(answer.json) <= {"error", "error_description"}
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="combine"'
    else:
        assert "WWW-Authenticate" not in answer.headers


@pytest.fixture
def provider(service: Service) -> Provider:
    # Earlier tests used the same address.
    service.registry["combine_auth.limiter"].storage.reset()
    return Provider(service)


@pytest.fixture
def client_(provider: Provider) -> Client:
    """A confidential client with the code grant."""
    return provider.register()


@pytest.fixture
def public_client(provider: Provider) -> Client:
    return provider.register(confidential=False)
