"""Fixtures for tests in a browser."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import Service, cloned_database, empty_database, starting_services

OpenPage = Callable[..., Any]


@pytest.fixture(scope="session")
def _of_the_session(
    postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    # Starting the service takes seconds. It must not share the database of the other tests.
    name = f"browser_{uuid.uuid4().hex}"
    with (
        cloned_database(postgres_url, name, _template) as database_url,
        starting_services(tmp_path_factory.mktemp("service"), lambda: database_url) as start,
    ):
        service = start()
        # This is the address that the service knows itself by.
        yield replace(service, url=f"http://localhost:{urlsplit(service.url).port}")
        # Ctrl-C stops the service at once, without the delay for a load balancer.
        service.stop(signal.SIGINT)


@pytest.fixture
def service(_of_the_session: Service) -> Service:
    """``development.ini`` as a running service with a worker. All tests share it; its database is empty."""
    # The row of the worker must stay, because it shows that the worker is alive.
    empty_database(_of_the_session.environment["DATABASE_URL"], keep="procrastinate_workers")
    return _of_the_session


@pytest.fixture
def open_page(chromium: Any, service: Service) -> Iterator[OpenPage]:
    """``open_page(expected=(404,), color_scheme="dark")``: a page in a new browser on the service.

    If the browser reports a problem, such as a breach of the Content-Security-Policy, the test
    fails at its end. Responses with a status in ``expected`` are allowed. A form with a mistake
    gets 400.
    """
    contexts = []
    complaints: list[str] = []

    def open_page(expected: tuple[int, ...] = (400,), **options: Any) -> Any:
        passed = tuple(f"status of {status} " for status in expected)

        def complain(page: Any, message: str) -> None:
            if not any(text in message for text in passed):
                complaints.append(f"{page.url}: {message}")

        context = chromium.new_context(base_url=service.url, **options)
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        # Chromium also prints mere recommendations for forms.
        page.on(
            "console",
            lambda message: message.type in ("error", "warning") and complain(page, message.text),
        )
        page.on("pageerror", lambda error: complain(page, str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == [], service.log()
