"""The service in a browser."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

OpenPage = Callable[..., Any]


@pytest.fixture
def open_page(chromium: Any, service: Any) -> Iterator[OpenPage]:
    """``open_page(color_scheme="dark")``: a page in a browser of its own, on the service.

    Whatever the browser complains about, such as a breach of the Content-Security-Policy, fails the
    test at its end.
    """
    contexts = []
    complaints: list[str] = []

    def complain(page: Any, message: str) -> None:
        # A form with a mistake in it is answered so.
        if "status of 400" not in message:
            complaints.append(f"{page.url}: {message}")

    def open_page(**options: Any) -> Any:
        context = chromium.new_context(base_url=service.url, **options)
        context.set_default_timeout(20_000)
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
    # Ctrl-C: without the time that a balancer is given.
    service.stop(signal.SIGINT)
    assert complaints == [], service.log()
