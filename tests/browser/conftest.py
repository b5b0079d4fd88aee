"""A headless Chromium from the system's packages, driven by Playwright."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def chromium() -> Iterator[Any]:
    """The browser. A file of tests skips itself where there is none."""
    path = shutil.which("chromium")
    assert path is not None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


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
