"""Tests that an owner invites a user into a project, and the user joins, by clicking."""

import shutil

import pytest

if shutil.which("chromium") is None:
    # Skip the whole file here: a fixture would report a skip for each test.
    pytest.skip("no Chromium here (Debian: apt-get install chromium)", allow_module_level=True)

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from combine_auth.sessions import start_session
from combine_core.projects import create_project
from combine_core.users import get_or_create_user

NARROW = {"width": 360, "height": 740}


@pytest.fixture
def owner(open_page, service):
    """A page of Ada, who is signed in and owns the project Ovens."""
    engine = create_engine(service.environment["DATABASE_URL"])
    with Session(engine) as session, session.begin():
        ada = get_or_create_user(session, "ada@example.com")
        create_project(session, "Ovens", ada.id)
        cookie = {"name": "combine_session", "value": start_session(session, ada.id)}
    engine.dispose()
    page = open_page()
    page.context.add_cookies([{**cookie, "url": service.url}])
    return page


def assert_fits(page):
    page.set_viewport_size(NARROW)
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") <= 0


@pytest.mark.slow
def test_invited_user_joins_the_project_with_the_link(owner, open_page):
    owner.goto("/projects/ovens")
    owner.get_by_role("link", name="Members").click()
    owner.get_by_role("link", name="Invite people").click()
    owner.get_by_label("Role").select_option("writer")
    owner.get_by_role("button", name="Create link").click()
    link = owner.get_by_label("New link").input_value()
    assert_fits(owner)
    owner.reload()
    owner.get_by_text("Writer: open").wait_for()
    assert owner.get_by_label("New link").count() == 0

    guest = open_page()
    guest.goto(link)
    guest.get_by_role("heading", name="Invitation to Ovens").wait_for()
    assert guest.get_by_text("ada@example.com").first.is_visible()
    assert "token" not in guest.url
    assert_fits(guest)
    guest.get_by_role("link", name="Sign in").last.click()
    guest.get_by_role("button", name="Sign in as local developer").click()
    guest.get_by_role("button", name="Accept the invitation").click()
    guest.get_by_role("heading", name="Ovens").wait_for()

    owner.reload()
    owner.get_by_text("Writer: used").wait_for()
    assert owner.get_by_text("local@localhost").is_visible()
