"""Actions of users in Chromium, and of operators on the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import Service


def combine(service: Service, *arguments: str) -> str:
    """Run a command of the service as an operator, and return its output."""
    program = Path(sys.executable).parent / "combine"
    done = subprocess.run(
        [program, *arguments, "-c", service.ini],
        env=service.environment,
        cwd=service.ini.parent,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


def heading(page: Any, name: str) -> None:
    """Wait for the page with this heading."""
    page.get_by_role("heading", name=name, exact=True).wait_for()


def go_to_provider(page: Any, title: str) -> None:
    """Go from the sign-in page to the page of the provider."""
    page.get_by_role("button", name=f"Sign in with {title}").click()
    heading(page, f"Sign in with {title}")


def agree(page: Any, account: str) -> None:
    """Sign in at the provider."""
    page.get_by_label("Account").fill(account)
    page.get_by_role("button", name="Continue").click()


def deny(page: Any) -> None:
    """Cancel the sign-in at the provider."""
    page.get_by_role("button", name="Cancel").click()


def sign_in(page: Any, title: str, account: str) -> None:
    """Sign in from a page that needs a user, and return to that page."""
    page.goto("/account")
    go_to_provider(page, title)
    agree(page, account)
    heading(page, "Account")


def sign_out(page: Any) -> None:
    """Press the sign-out button in the header."""
    page.get_by_role("banner").get_by_role("button", name="Sign out").click()
    heading(page, "Sign in")
