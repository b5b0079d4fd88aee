"""Tests the account page by clicking: adding identities and signing out browsers."""

from __future__ import annotations

import re
import shutil

import psycopg2
import pytest

from tests.oidc.browsing import agree, combine, deny, go_to_provider, heading, sign_in, sign_out
from tests.oidc.issuer import skip_without_node

pytestmark = pytest.mark.slow

skip_without_node()
if shutil.which("chromium") is None:
    pytest.skip("no Chromium here (Debian: apt-get install chromium)", allow_module_level=True)


def add(page, title, account):
    page.get_by_role("link", name="Add a way to sign in").click()
    page.get_by_role("button", name=f"Add {title}").click()
    agree(page, account)


def ways(page):
    """Return the rows of the table of identities: provider and account."""
    rows = page.get_by_role("table", name="Your accounts with providers").get_by_role("row")
    return [
        tuple(cell.inner_text() for cell in row.get_by_role("cell").all()[:2])
        for row in rows.all()[1:]
    ]


def let_ten_minutes_pass(service):
    """Let ten minutes pass for all sessions."""
    with psycopg2.connect(service.environment["DATABASE_URL"]) as connection:
        connection.cursor().execute(
            "UPDATE sessions SET created_at = created_at - interval '11 min'"
        )
    connection.close()


def test_a_second_provider_signs_in_the_same_user(service, open_page):
    page = open_page(service)
    sign_in(page, "Google", "anna")
    assert ways(page) == [("Google", "anna@example.com")]
    # The only identity cannot be removed.
    assert page.get_by_role("button", name="Remove").count() == 0
    add(page, "Microsoft", "ben")
    heading(page, "Account")
    both = [("Google", "anna@example.com"), ("Microsoft", "ben@example.com")]
    assert ways(page) == both
    sign_out(page)
    sign_in(page, "Microsoft", "ben")
    assert page.get_by_text("You are Anna").is_visible()
    assert ways(page) == both
    page.get_by_role("button", name="Remove Google, anna@example.com").click()
    page.get_by_role("button", name="Remove").first.wait_for(state="detached")
    assert ways(page) == both[1:]


def test_an_old_session_must_confirm(service, open_page, google):
    google.account("eve", email="eve@example.com", email_verified=True)
    page = open_page(service, expected=(403,))
    sign_in(page, "Google", "anna")
    let_ten_minutes_pass(service)
    page.get_by_role("link", name="Add a way to sign in").click()
    heading(page, "Confirm that it is you")
    # Another user at the same keyboard is rejected.
    page.get_by_role("button", name="Confirm with Google").click()
    agree(page, "eve")
    heading(page, "That was another user's account")
    page.get_by_role("link", name="Go to your account").click()
    page.get_by_role("link", name="Add a way to sign in").click()
    page.get_by_role("button", name="Confirm with Google").click()
    # Google knows the browser, but still asks.
    heading(page, "Sign in with Google")
    agree(page, "anna")
    heading(page, "Add a way to sign in")
    page.get_by_role("button", name="Add Microsoft").click()
    agree(page, "ben")
    heading(page, "Account")
    assert len(ways(page)) == 2


def test_an_identity_of_another_user_is_not_added(service, open_page):
    bens = open_page(service)
    sign_in(bens, "Microsoft", "ben")
    page = open_page(service, expected=(409, 400))
    sign_in(page, "Google", "anna")
    add(page, "Microsoft", "ben")
    heading(page, "That account of Microsoft belongs to another user")
    page.get_by_role("link", name="Go to your account").click()
    heading(page, "Account")
    assert ways(page) == [("Google", "anna@example.com")]
    page.get_by_role("link", name="Add a way to sign in").click()
    page.get_by_role("button", name="Add Microsoft").click()
    deny(page)
    heading(page, "You did not sign in")
    bens.reload()
    assert ways(bens) == [("Microsoft", "ben@example.com")]


def test_all_browsers_are_signed_out(service, open_page):
    here, there, other = open_page(service), open_page(service), open_page(service)
    for page in (here, there):
        sign_in(page, "Google", "anna")
    sign_in(other, "Microsoft", "ben")
    here.reload()
    here.get_by_role("button", name="Sign out everywhere", exact=True).click()
    heading(here, "Sign in")
    there.get_by_role("link", name="Projects").first.click()
    heading(there, "Sign in")
    other.reload()
    heading(other, "Account")


def test_one_browser_and_all_others_are_signed_out(service, open_page):
    here, *others = (open_page(service, user_agent=f"Browser/{number}") for number in range(4))
    for page in (here, *others):
        sign_in(page, "Google", "anna")
    here.reload()
    sessions = here.get_by_role("table", name="Your sessions").get_by_role("row")
    assert sessions.count() == 5
    # The newest session comes first.
    sessions.nth(1).get_by_role("button").click()
    sessions.nth(4).wait_for(state="detached")
    others[2].reload()
    heading(others[2], "Sign in")
    others[0].reload()
    heading(others[0], "Account")
    here.get_by_role("button", name="Sign out everywhere else").click()
    sessions.nth(2).wait_for(state="detached")
    assert sessions.count() == 2
    for page in others[:2]:
        page.reload()
        heading(page, "Sign in")
    here.reload()
    heading(here, "Account")


def test_an_invitation_gives_access_to_the_prepared_account(service, open_page):
    printed = combine(service, "user", "create", "boss@example.com", "--admin")
    link = re.search(r"http\S+/auth/invitation\?token=\S+", printed).group()
    page = open_page(service, expected=(400,))
    page.goto(link)
    page.get_by_role("button", name="Continue with Google").click()
    agree(page, "anna")
    page.get_by_role("banner").get_by_role("link", name="Account").click()
    heading(page, "Account")
    assert page.get_by_text("boss@example.com, an administrator").is_visible()
    assert ways(page) == [("Google", "anna@example.com")]
    # The link works once.
    second = open_page(service, expected=(400,))
    second.goto(link)
    heading(second, "This invitation is no longer valid")
    sign_out(page)
    go_to_provider(page, "Google")
    agree(page, "anna")
    page.get_by_role("banner").get_by_role("link", name="Account").click()
    assert page.get_by_text("boss@example.com, an administrator").is_visible()
