"""Signing in and out by clicking, under the policies that the pages carry."""

from __future__ import annotations

import shutil

import pytest

from tests.oidc.browsing import agree, combine, deny, go_to_provider, heading, sign_in, sign_out
from tests.oidc.issuer import skip_without_node

pytestmark = pytest.mark.slow
skip_without_node()
if shutil.which("chromium") is None:
    pytest.skip("no Chromium here (Debian: apt-get install chromium)", allow_module_level=True)


@pytest.mark.parametrize(("title", "account"), [("Google", "anna"), ("Microsoft", "ben")])
@pytest.mark.parametrize("scripts", [True, False])
def test_sign_in_and_out(service, open_page, title, account, scripts):
    page = open_page(service, java_script_enabled=scripts)
    sign_in(page, title, account)
    assert page.get_by_text(f"{account}@example.com").first.is_visible()
    assert page.url.endswith("/account")
    sign_out(page)
    # Neither does the browser show again what it has shown.
    page.go_back()
    heading(page, "Sign in")
    assert page.get_by_text(f"{account}@example.com").count() == 0
    page.goto("/account")
    heading(page, "Sign in")


def test_whoever_presses_cancel_reads_why_and_begins_again(service, open_page):
    page = open_page(service, expected=(400,))
    page.goto("/projects")
    for title in ("Google", "Microsoft"):
        go_to_provider(page, title)
        deny(page)
        heading(page, "You did not sign in")
        assert title in page.locator(".lead").inner_text()
        page.get_by_role("link", name="Go to the sign-in page").click()
        heading(page, "Sign in")
    sign_in(page, "Google", "anna")


def test_two_tabs_at_once(service, open_page):
    first = open_page(service)
    second = first.context.new_page()
    for page, title in ((first, "Google"), (second, "Microsoft")):
        page.goto("/account")
        go_to_provider(page, title)
    agree(second, "ben")
    heading(second, "Account")
    agree(first, "anna")
    heading(first, "Account")
    # The last one counts, in all tabs.
    second.reload()
    assert second.get_by_text("anna@example.com").first.is_visible()


def test_a_browser_that_lost_its_cookies_is_told_so(service, open_page):
    page = open_page(service, expected=(400,))
    page.goto("/account")
    go_to_provider(page, "Google")
    page.context.clear_cookies(domain="127.0.0.1")
    agree(page, "anna")
    heading(page, "This sign-in was not started here")
    sign_in(page, "Google", "anna")


def test_a_provider_that_is_away_is_said_to_be(serve, open_page, google):
    google.stop()
    page = open_page(serve(), expected=(503,))
    page.goto("/account")
    page.get_by_role("button", name="Sign in with Google").click()
    heading(page, "Google does not respond")
    page.get_by_role("link", name="Go to the sign-in page").click()
    sign_in(page, "Microsoft", "ben")


def test_sign_out_of_the_provider_too(service, open_page):
    page = open_page(service)
    sign_in(page, "Microsoft", "ben")
    sign_out(page)
    page.get_by_role("link", name="Sign out of Microsoft too").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    heading(page, "Sign in")
    go_to_provider(page, "Microsoft")


def test_a_disabled_user_is_out_at_the_next_click(service, open_page):
    page = open_page(service, expected=(403,))
    sign_in(page, "Google", "anna")
    combine(service, "user", "disable", "anna@example.com")
    page.get_by_role("link", name="Account").first.click()
    heading(page, "Sign in")
    go_to_provider(page, "Google")
    agree(page, "anna")
    heading(page, "Your account is disabled")
    combine(service, "user", "enable", "anna@example.com")
    sign_in(page, "Google", "anna")
