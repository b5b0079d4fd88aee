"""What people do with the mouse, in Chromium."""

from __future__ import annotations

from typing import Any


def go_to_provider(page: Any, title: str) -> None:
    """From the sign-in page to the provider's."""
    page.get_by_role("button", name=f"Sign in with {title}").click()
    page.get_by_role("heading", name=f"Sign in with {title}").wait_for()


def agree(page: Any, account: str) -> None:
    """Sign in at the provider."""
    page.get_by_label("Account").fill(account)
    page.get_by_role("button", name="Continue").click()


def deny(page: Any) -> None:
    """Do not sign in at the provider."""
    page.get_by_role("button", name="Cancel").click()


def sign_in(page: Any, title: str, account: str) -> None:
    """From a page that needs somebody signed in, to that page."""
    page.goto("/account")
    go_to_provider(page, title)
    agree(page, account)
    page.get_by_role("heading", name="Account", exact=True).wait_for()
