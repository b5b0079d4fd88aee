"""Tests tabs, buttons and double clicks during sign-in in Chromium."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.oidc.browsing import agree, go_to_provider, heading, sign_in
from tests.oidc.issuer import skip_without_node

pytestmark = pytest.mark.slow

skip_without_node()
if shutil.which("chromium") is None:
    pytest.skip("no Chromium here (Debian: apt-get install chromium)", allow_module_level=True)


def one_of(page: Any, *names: str) -> str:
    """Wait for a page with one of these headings, and return its heading."""
    headings = page.get_by_role("heading", level=1)
    shown = headings.filter(has_text=names[0])
    for name in names[1:]:
        shown = shown.or_(headings.filter(has_text=name))
    shown.wait_for()
    found: str = shown.inner_text()
    return found


def press(page: Any, title: str) -> None:
    """Go to the provider. Press the button again if the page asks for it."""
    page.get_by_role("button", name=f"Sign in with {title}").click()
    again = page.get_by_text("Press the button again")
    arrived = page.get_by_label("Account")
    arrived.or_(again).wait_for()
    if again.count():
        page.get_by_role("button", name=f"Sign in with {title}").click()
        arrived.wait_for()


def test_two_new_tabs_opened_in_parallel_sign_in(service, open_page):
    """A browser that restores its tabs does this: both requests come without a cookie."""
    page = open_page(service, expected=(400,))
    addresses = [f"{service.url}/projects", f"{service.url}/account"]
    with page.context.expect_event("page", lambda one: len(one.context.pages) == 3):
        page.evaluate("addresses => addresses.forEach(one => window.open(one))", addresses)
    tabs = page.context.pages[1:]
    for tab in tabs:
        heading(tab, "Sign in")
    # Both tabs are at the provider before one returns.
    for tab in tabs:
        press(tab, "Google")
    for tab in tabs:
        agree(tab, "anna")
        assert one_of(tab, "Projects", "Account") in {"Projects", "Account"}


def test_a_stale_second_tab_is_explained(service, open_page):
    page = open_page(service, expected=(400,))
    stale = page.context.new_page()
    for tab in (page, stale):
        tab.goto("/account")
    go_to_provider(page, "Google")
    agree(page, "anna")
    heading(page, "Account")
    stale.get_by_role("button", name="Sign in with Google").click()
    stale.get_by_text("You are signed in as anna@example.com").wait_for()
    stale.get_by_role("link", name="Continue").click()
    heading(stale, "Account")


def test_a_double_click_on_the_button_signs_in(service, open_page):
    page = open_page(service)
    page.goto("/account")
    page.get_by_role("button", name="Sign in with Google").dblclick()
    agree(page, "anna")
    heading(page, "Account")


def test_a_double_click_at_the_provider_is_harmless(service, open_page):
    """The second click may abort the first callback. Then a page reports that the sign-in has ended."""
    page = open_page(service, expected=(400,))
    page.goto("/account")
    go_to_provider(page, "Google")
    page.get_by_label("Account").fill("anna")
    page.get_by_role("button", name="Continue").dblclick()
    one_of(page, "Account", "This sign-in was already finished")
    page.goto("/account")
    if one_of(page, "Account", "Sign in") == "Sign in":
        sign_in(page, "Google", "anna")


def test_the_back_button_after_the_callback_is_harmless(service, open_page):
    # The provider itself reports that its page was finished before.
    page = open_page(service, expected=(400,))
    sign_in(page, "Google", "anna")
    page.go_back()
    while not page.url.startswith(service.url):
        page.go_back()
    heading(page, "Account")
    assert page.get_by_text("anna@example.com").first.is_visible()
