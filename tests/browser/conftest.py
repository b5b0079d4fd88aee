"""The service in a browser."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import Service, database_of_its_own, empty_database, starting_services

OpenPage = Callable[..., Any]


@pytest.fixture(scope="session")
def _of_the_session(
    postgres_url: str, _template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    # A start takes seconds. Not the database of the other tests: this service would see them in it.
    name = f"browser_{uuid.uuid4().hex}"
    with (
        database_of_its_own(postgres_url, name, _template) as database_url,
        starting_services(tmp_path_factory.mktemp("service"), lambda: database_url) as start,
    ):
        service = start()
        # The address that it calls itself by.
        yield replace(service, url=f"http://localhost:{urlsplit(service.url).port}")
        # Ctrl-C: without the time that a balancer is given.
        service.stop(signal.SIGINT)


@pytest.fixture
def service(_of_the_session: Service) -> Service:
    """``development.ini`` as a running service with a worker, which all tests have; nothing is in it."""
    # The worker's own row stays: it says that the worker lives.
    empty_database(_of_the_session.environment["DATABASE_URL"], keep="procrastinate_workers")
    return _of_the_session


@pytest.fixture
def open_page(chromium: Any, service: Service) -> Iterator[OpenPage]:
    """``open_page(expected=(404,), color_scheme="dark")``: a page in a browser of its own, on the service.

    Whatever the browser complains about, such as a breach of the Content-Security-Policy, fails the
    test at its end; but for answers with an ``expected`` status. A form with a mistake in it gets 400.
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
        # Not what Chromium merely recommends for forms.
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
