"""Tests sign-in and sign-out by clicking, under the policies of the pages."""

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
def test_a_user_signs_in_and_out(service, open_page, title, account, scripts):
    page = open_page(service, java_script_enabled=scripts)
    sign_in(page, title, account)
    assert page.get_by_text(f"{account}@example.com").first.is_visible()
    assert page.url.endswith("/account")
    sign_out(page)
    # The browser does not show the earlier page again either.
    page.go_back()
    heading(page, "Sign in")
    assert page.get_by_text(f"{account}@example.com").count() == 0
    page.goto("/account")
    heading(page, "Sign in")


def test_a_user_who_cancels_can_start_again(service, open_page):
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


def test_two_tabs_sign_in(service, open_page):
    first = open_page(service)
    second = first.context.new_page()
    for page, title in ((first, "Google"), (second, "Microsoft")):
        page.goto("/account")
        go_to_provider(page, title)
    agree(second, "ben")
    heading(second, "Account")
    agree(first, "anna")
    heading(first, "Account")
    # The last sign-in counts, in all tabs.
    second.reload()
    assert second.get_by_text("anna@example.com").first.is_visible()


def test_lost_cookies_are_explained(service, open_page):
    page = open_page(service, expected=(400,))
    page.goto("/account")
    go_to_provider(page, "Google")
    page.context.clear_cookies(domain="127.0.0.1")
    agree(page, "anna")
    heading(page, "This sign-in was not started here")
    sign_in(page, "Google", "anna")


def test_an_unreachable_provider_is_explained(serve, open_page, google):
    google.stop()
    page = open_page(serve(), expected=(503,))
    page.goto("/account")
    page.get_by_role("button", name="Sign in with Google").click()
    heading(page, "Google does not respond")
    page.get_by_role("link", name="Go to the sign-in page").click()
    sign_in(page, "Microsoft", "ben")


def test_a_user_signs_out_of_the_provider(service, open_page):
    page = open_page(service)
    sign_in(page, "Microsoft", "ben")
    sign_out(page)
    page.get_by_role("link", name="Sign out of Microsoft too").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    heading(page, "Sign in")
    go_to_provider(page, "Microsoft")


def test_a_disabled_user_is_rejected_at_the_next_click(service, open_page):
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
