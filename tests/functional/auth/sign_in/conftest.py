"""Fixtures for the application with two identity providers that can lie or fail."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text
from webtest import TestApp, TestResponse

from combine_auth.openid.providers import REGISTRY_KEY, make_identity_providers
from combine_auth.settings import AuthSettings
from combine_core.settings import SETTINGS_KEY
from tests.functional.auth.conftest import DEVELOPMENT, Service, at_once
from tests.oidc_issuer import TENANT, LyingIssuer

CSRF = "combine_csrf"
SESSION = "combine_session"
BROWSER = "combine_browser"
HOST = "http://localhost:8000"
# LyingIssuer returns this unless a test changes it.
SUBJECT = "110169484474386276334"


class Browser:
    """A browser on the service."""

    def __init__(self, service: Service, **environ: str) -> None:
        self.service = service
        self.client: TestApp = service.client(**environ)
        self.client.set_cookie(CSRF, "0" * 32)

    def post(self, path: str, fields: dict[str, str] | None = None, **more: Any) -> TestResponse:
        """Submit a form of the service."""
        # WebTest quotes the values of cookies that a test sets.
        headers = {"X-CSRF-Token": self.client.cookies[CSRF].strip('"')}
        return self.client.post(path, fields or {}, headers=headers, **more)

    def start(self, provider: str = "google", **fields: str) -> str:
        """Press the provider's button. Return the address of the provider."""
        answer = self.post(f"/auth/{provider}/start", fields, status=303)
        assert not answer.location.startswith(HOST), answer.location
        return answer.location

    def come_back(self, address: str, **more: Any) -> TestResponse:
        """Open the address that the provider redirects to."""
        assert address.startswith(HOST)
        return self.client.get(address.removeprefix(HOST), **{"status": 303, **more})

    def sign_in(
        self, issuer: LyingIssuer, provider: str = "google", fields: Any = None, **claims: Any
    ) -> TestResponse:
        """Sign in with the provider."""
        url = self.start(provider, **(fields or {}))
        return self.come_back(issuer.callback_url(url, **claims))

    def whoami(self) -> str | None:
        """Return the email address of the current user."""
        return self.client.get("/whoami").json["email"]

    def failure(self, answer: TestResponse, code: str, status: int) -> TestResponse:
        """Check the error page that this response leads to, and return it."""
        assert answer.status_int == 303, answer
        target = urlsplit(answer.location)
        query = parse_qs(target.query)
        assert (target.path, query["code"]) == ("/auth/error", [code]), answer.location
        assert not any(c.startswith(f"{SESSION}=") for c in answer.headers.getall("Set-Cookie"))
        page = self.client.get(f"{target.path}?{target.query}", status=status)
        assert "no-store" in page.headers["Cache-Control"]
        return page


@pytest.fixture(scope="session")
def _issuers() -> Iterator[dict[str, LyingIssuer]]:
    with LyingIssuer() as google, LyingIssuer(tenant=TENANT) as microsoft:
        yield {"google": google, "microsoft": microsoft}


@pytest.fixture
def google(_issuers: dict[str, LyingIssuer]) -> Iterator[LyingIssuer]:
    """A provider like Google, in its initial state."""
    yield _issuers["google"]
    _issuers["google"].reset()


@pytest.fixture
def microsoft(_issuers: dict[str, LyingIssuer]) -> Iterator[LyingIssuer]:
    """A provider like Microsoft, in its initial state."""
    yield _issuers["microsoft"]
    _issuers["microsoft"].reset()


def registration(name: str, issuer: LyingIssuer) -> dict[str, str]:
    """Return the ini keys of a service that is registered with these providers."""
    return {
        f"combine_auth.{name}.issuer": issuer.configured_issuer,
        f"combine_auth.{name}.client_id": issuer.client_id,
        f"combine_auth.{name}.client_secret": issuer.client_secret,
    }


MakeService = Callable[..., Service]


@pytest.fixture
def make_service(
    database_url: str, google: LyingIssuer, microsoft: LyingIssuer
) -> Iterator[MakeService]:
    """``make_service(**more)``: the application in development, with both providers and more ini keys."""
    made: list[Service] = []

    def make(more: dict[str, str] | None = None, base: dict[str, str] = DEVELOPMENT) -> Service:
        made.append(_make({"google": google, "microsoft": microsoft}, database_url, more, base))
        return made[-1]

    yield make
    for service in made:
        service.engine.dispose()


def _make(
    issuers: dict[str, LyingIssuer],
    database_url: str,
    more: dict[str, str] | None = None,
    base: dict[str, str] = DEVELOPMENT,
) -> Service:
    ini = {
        **base,
        **registration("google", issuers["google"]),
        **registration("microsoft", issuers["microsoft"]),
        "combine_auth.rate_limits": "false",
        "combine_core.database_url": database_url,
        **(more or {}),
    }
    return Service({key: value for key, value in ini.items() if value is not None})


@pytest.fixture(scope="session")
def _of_the_session(_issuers: dict[str, LyingIssuer], worker_database: str) -> Service:
    return _make(_issuers, worker_database)


@pytest.fixture
def service(
    _of_the_session: Service, database_url: str, google: LyingIssuer, microsoft: LyingIssuer
) -> Iterator[Service]:
    """The application with both providers, before it has read their metadata."""
    registry = _of_the_session.registry
    settings = registry[SETTINGS_KEY].get(AuthSettings)
    # This is everything that it keeps in memory: the metadata of the providers. Plugins are left
    # out, because scanning the installed packages takes longer than most tests.
    with patch("combine_auth.openid.providers.load_plugins", return_value={}):
        registry[REGISTRY_KEY] = make_identity_providers(settings, registry.settings)
    yield _of_the_session
    _of_the_session.engine.dispose()


@pytest.fixture
def browser(service: Service) -> Browser:
    """The browser of Ann."""
    return Browser(service)


def codes_of_callbacks(browsers: list[Browser], backs: list[str]) -> list[str]:
    """Return to the service in all browsers at once. Return the sorted codes of the failures, or "ok"."""
    answers = at_once(lambda one: one[0].come_back(one[1]), zip(browsers, backs, strict=True))
    queries = (parse_qs(urlsplit(answer.location).query) for answer in answers)
    return sorted(query.get("code", ["ok"])[0] for query in queries)


def count(service: Service, table: str) -> int:
    """Return the number of rows in a table."""
    assert re.fullmatch("[a-z_]+", table)
    with service.session() as session:
        found = session.scalar(text(f"SELECT count(*) FROM {table}"))
    assert isinstance(found, int)
    return found


def audit(service: Service, action: str = "sign-in") -> list[str]:
    """Return the outcomes of this audit action, oldest first."""
    rows = service.execute(
        "SELECT outcome FROM audit_events WHERE action = :action ORDER BY id", action=action
    )
    return [outcome for (outcome,) in rows]
