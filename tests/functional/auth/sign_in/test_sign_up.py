"""Tests which users get an account at their first sign-in."""

from __future__ import annotations

import pytest

from combine_auth.health import sign_in as sign_in_check
from combine_core.projects import create_project
from combine_core.projects.invitations import create_invitation
from combine_core.settings import Environment
from combine_core.users import Role, get_or_create_user
from tests.functional.auth.sign_in.conftest import Browser, audit, count


@pytest.fixture
def invited(make_service):
    """The service, which creates accounts only for invited users."""
    return make_service({"combine_auth.sign_up": "invited"})


@pytest.mark.parametrize("claims", [{}, {"email_verified": False}, {"email": None}])
def test_uninvited_user_gets_no_account(invited, google, claims):
    browser = Browser(invited)
    assert "Open its link first" in browser.client.get("/auth/sign-in")
    page = browser.failure(browser.sign_in(google, **claims), "not_invited", 403)
    assert "an invitation to a project does not open one" in page
    assert "combine user create EMAIL" in page
    assert [count(invited, table) for table in ("users", "identities", "sessions")] == [0, 0, 0]
    assert audit(invited) == ["not_invited"]


def link_into_a_project(service) -> str:
    """Return the path of a project invitation by Olga."""
    with service.session() as session:
        olga = get_or_create_user(session, "olga@example.com")
        project = create_project(session, "Ovens", olga.id)
        token, _ = create_invitation(
            session, project.id, olga.id, Role.WRITER, notify=lambda change: None
        )
    return f"/invitation?token={token}"


def test_a_project_invitation_creates_no_account(invited, google):
    browser = Browser(invited)
    page = browser.client.get(link_into_a_project(invited)).follow()
    assert "does not create an account" in page
    answer = browser.sign_in(google, fields={"next": "/invitation"})
    browser.failure(answer, "not_invited", 403)
    assert [count(invited, table) for table in ("users", "memberships")] == [1, 1]
    # The invitation is not used up.
    assert "invites you" in browser.client.get("/invitation")


def test_a_new_user_returns_to_the_invitation(service, google):
    browser = Browser(service)
    browser.client.get(link_into_a_project(service), status=303)
    page = browser.sign_in(google, fields={"next": "/invitation"}).follow()
    assert "You are signed in as" in page
    assert count(service, "memberships") == 1
    form = next(one for one in page.forms.values() if one.action == "/invitation")
    assert form.submit(status=303).location.endswith("/projects/ovens")
    assert count(service, "memberships") == 2


def test_existing_users_can_still_sign_in(service, invited, google):
    Browser(service).sign_in(google)
    browser = Browser(invited)
    browser.sign_in(google)
    assert browser.whoami() == "ann@example.com"


def test_second_provider_needs_no_invitation(service, invited, google, microsoft):
    Browser(service).sign_in(google)
    browser = Browser(invited)
    browser.sign_in(google)
    browser.sign_in(microsoft, "microsoft", {"purpose": "link"})
    assert count(invited, "identities") == 2


def test_only_users_of_the_domains_get_an_account(make_service, google):
    service = make_service(
        {"combine_auth.sign_up": "domains", "combine_auth.sign_up_domains": "example.com"}
    )
    for claims in (
        {"email": "eve@example.net"},
        {"email": "eve@example.com.evil.example"},
        {"email": "eve@example.com", "email_verified": False},
        {"email": None},
    ):
        browser = Browser(service)
        answer = browser.sign_in(google, sub="eve", **claims)
        browser.failure(answer, "not_invited", 403)
    browser = Browser(service)
    browser.sign_in(google, email="Ann@Example.COM")
    assert count(service, "users") == 1
    assert browser.whoami()


def test_health_reports_open_sign_up(service, invited, monkeypatch):
    open_to_all = "; anyone gets an account (SIGN_UP=anyone)"
    assert open_to_all not in sign_in_check(service.registry).detail
    # Pretend that the service is deployed. A deployed service accepts no provider on loopback.
    monkeypatch.setattr("combine_auth.health.DEPLOYED", frozenset({Environment.DEVELOPMENT}))
    assert sign_in_check(service.registry).detail.endswith(open_to_all)
    assert open_to_all not in sign_in_check(invited.registry).detail
