"""Fixtures for the certified oidc-provider in the roles of Google and Microsoft, and for a service."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import (
    Service,
    StartService,
    cloned_database,
    empty_database,
    free_port,
    starting_services,
)
from tests.oidc.issuer import CLIENT_ID, CLIENT_SECRET, Issuer, running_issuers
from tests.oidc.visitor import Visitor

SECRET_KEY = "of-the-tests-0f3b9a7c5d1e8246a9b0c7d3e5f18264"


@pytest.fixture(scope="session")
def _issuers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Issuer]]:
    with running_issuers(tmp_path_factory.mktemp("issuers") / "issuers.log") as issuers:
        yield issuers


@pytest.fixture
def google(_issuers: dict[str, Issuer]) -> Issuer:
    """The issuer like Google, in its initial state: without clients and accounts."""
    _issuers["google"].reset()
    return _issuers["google"]


@pytest.fixture
def microsoft(_issuers: dict[str, Issuer]) -> Issuer:
    """The issuer like Microsoft, in its initial state: without clients and accounts."""
    _issuers["microsoft"].reset()
    return _issuers["microsoft"]


def _register(service: Service, google: Issuer, microsoft: Issuer) -> Service:
    for issuer in (google, microsoft):
        issuer.register(service.url)
    google.account("anna", email="anna@example.com", email_verified=True)
    microsoft.account("ben", email="ben@example.com", xms_edov=True)
    return service


def _environment(issuers: dict[str, Issuer]) -> dict[str, str]:
    port = free_port()
    environment = {
        "ENVIRONMENT": "development",
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SECRET_KEY": SECRET_KEY,
        "COMBINE_AUTH_LOCAL_SIGN_IN": "false",
        # No test creates work for a worker, and a worker would lose its row.
        "COMBINE_CORE_WORKER": "false",
    }
    for name, issuer in issuers.items():
        environment[f"{name.upper()}_ISSUER"] = issuer.issuer
        environment[f"{name.upper()}_CLIENT_ID"] = CLIENT_ID
        environment[f"{name.upper()}_CLIENT_SECRET"] = CLIENT_SECRET
    return environment


@pytest.fixture(scope="session")
def _of_the_session(
    postgres_url: str,
    _template: str,
    _issuers: dict[str, Issuer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    # Starting the service takes seconds. It must not share the database of the other tests.
    folder = tmp_path_factory.mktemp("service")
    name = f"oidc_{uuid.uuid4().hex}"
    with (
        cloned_database(postgres_url, name, _template) as database_url,
        starting_services(folder, lambda: database_url) as start,
    ):
        # The tests sign in more often than users do.
        yield start({**_environment(_issuers), "COMBINE_AUTH_RATE_LIMITS": "false"})


@pytest.fixture
def service(_of_the_session: Service, google: Issuer, microsoft: Issuer) -> Service:
    """A running service that knows both issuers. Its database has no users.

    The issuers know it, too, and two accounts with verified addresses: Anna at Google, Ben at
    Microsoft. All tests share the service, which keeps its cached metadata.
    """
    empty_database(_of_the_session.environment["DATABASE_URL"])
    return _register(_of_the_session, google, microsoft)


Serve = Callable[..., Service]


@pytest.fixture
def serve(
    start_service: StartService, _issuers: dict[str, Issuer], google: Issuer, microsoft: Issuer
) -> Serve:
    """``serve(MICROSOFT_TENANTS="...")``: a new service like ``service``, with these settings."""

    def serve(**environment: str) -> Service:
        service = start_service({**_environment(_issuers), **environment})
        return _register(service, google, microsoft)

    return serve


NewVisitor = Callable[[Service], Visitor]


@pytest.fixture
def new_visitor() -> Iterator[NewVisitor]:
    """``new_visitor(service)``: a client without cookies."""
    visitors: list[Visitor] = []

    def new_visitor(service: Service) -> Visitor:
        visitors.append(Visitor(service.url))
        return visitors[-1]

    yield new_visitor
    for visitor in visitors:
        visitor.session.close()


OpenPage = Callable[..., Any]


@pytest.fixture
def open_page(chromium: Any) -> Iterator[OpenPage]:
    """``open_page(service, expected=(403,), color_scheme="dark")``: a page in a new browser.

    If the browser reports a problem, such as a breach of a Content-Security-Policy, the test fails
    at its end. Responses with a status in ``expected`` are allowed.
    """
    contexts = []
    complaints: list[str] = []

    def open_page(service: Service, expected: tuple[int, ...] = (), **options: Any) -> Any:
        context = chromium.new_context(base_url=service.url, **options)
        context.set_default_timeout(60_000)
        contexts.append(context)
        passed = tuple(f"responded with a status of {status} " for status in expected)

        def complain(page: Any, message: str) -> None:
            if not any(text in message for text in passed):
                complaints.append(f"{page.url}: {message}")

        def watch(page: Any) -> None:
            page.on("console", lambda message: complain(page, message.text))
            page.on("pageerror", lambda error: complain(page, str(error)))

        # This includes tabs that a test opens later.
        context.on("page", watch)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
