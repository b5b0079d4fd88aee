"""Tests that a reassigned address does not give access to the account of its former owner.

A provider renames a user and gives the old address to another user. The tests follow the pages, the
log and the commands.
"""

from __future__ import annotations

import logging

import pytest

from tests.functional.auth.sign_in.conftest import Browser, audit, count
from tests.functional.auth.sign_in.test_invitations import accept, link_of

OLD = "j.smith@example.com"
NEW = "jane.miller@example.com"


@pytest.fixture
def jane(service, google):
    """The browser of Jane, who is an administrator and owns a project."""
    browser = Browser(service)
    browser.sign_in(google, sub="jane", email=OLD, name="Jane Smith")
    service.execute("UPDATE users SET is_admin = true")
    service.execute(
        "INSERT INTO projects (id, slug, name) VALUES (gen_random_uuid(), 'plans', 'Plans')"
    )
    service.execute(
        "INSERT INTO memberships (project_id, user_id, role)"
        " SELECT p.id, u.id, 'owner' FROM projects p, users u"
    )
    return browser


def john_signs_in(service, google):
    john = Browser(service)
    return john, john.sign_in(google, sub="john", email=OLD, name="John Smith")


def test_new_owner_of_an_address_does_not_get_the_account(service, google, jane, combine, caplog):
    # John now has the address. He gets neither the account nor advice that leads to it.
    with caplog.at_level(logging.INFO):
        john, answer = john_signs_in(service, google)
    page = john.failure(answer, "email_in_use", 409)
    assert "somebody had the address before you" in page
    advice = [page.text, *(r.getMessage() for r in caplog.records if "failed" in r.getMessage())]
    assert len(advice) == 2
    for text in advice:
        assert "user show EMAIL" in text
        assert "user invite" not in text

    # The operator follows the advice and sees the owner of the account.
    shown = combine(f"user show {OLD}").stdout
    for fact in ("Jane Smith", "administrator", "the project Plans, as owner", "was last here: 20"):
        assert fact in shown
    # An operator who invites him anyway sees the owner, too, and must confirm.
    refused = combine(f"user invite {OLD}", typed="n\n")
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert "the project Plans, as owner" in refused.stderr
    assert "sign in as Jane Smith? [y/N]" in refused.stderr
    assert count(service, "invitations") == 0

    # The address becomes free, and John gets a new account.
    assert combine(f"user set-email {OLD} jane@example.com").exit_code == 0
    assert "no provider verifies this address" in combine("user show jane@example.com").stdout
    john, answer = john_signs_in(service, google)
    me = john.client.get("/whoami").json
    assert (me["email"], me["admin"]) == (OLD, False)
    # Jane keeps her account, with the address that the provider reports for her.
    jane.sign_in(google, sub="jane", email=NEW, name="Jane Miller")
    me = jane.client.get("/whoami").json
    assert (me["email"], me["admin"]) == (NEW, True)
    assert "no provider" not in combine(f"user show {NEW}").stdout


def test_invitation_shows_the_account_and_ends_its_sessions(service, google, jane, combine):
    link = link_of(combine(f"user invite {OLD}", typed="y\n"))
    other = Browser(service)
    page = other.client.get(link)
    for fact in ("Jane Smith", OLD, "an administrator", "project Plans, as owner", "was last here"):
        assert fact in page
    assert not [form for form in page.forms.values() if form.action.endswith("/start")]

    # A page from before the account was used, or a forged form, does not skip the question.
    token = link.partition("token=")[2]
    fields = {"purpose": "invitation", "invitation": token}
    answer = other.post("/auth/google/start", fields, status=303)
    assert answer.location.endswith(link)

    assert jane.whoami() == OLD
    accept(other, google, link, sub="jane at home", email="jane@home.example.com")
    assert other.whoami() == OLD
    assert jane.whoami() is None
    [(ended,)] = service.execute(
        "SELECT details->>'ended' FROM audit_events WHERE action = 'invitation'"
        " AND details->>'ended' IS NOT NULL"
    )
    assert ended == "1"


def test_renamed_user_keeps_the_account(service, google, jane):
    jane.sign_in(google, sub="jane", email=NEW, name="Jane Miller")
    [(user_id, name)] = service.execute("SELECT id, name FROM users")
    assert name == "Jane Miller"
    changes = service.execute(
        "SELECT target, details->'before', details->'after' FROM audit_events"
        " WHERE action = 'user-change'"
    )
    assert changes == [
        (
            f"user:{user_id}",
            {"email": OLD, "name": "Jane Smith"},
            {"email": NEW, "name": "Jane Miller"},
        )
    ]
    john, _ = john_signs_in(service, google)
    assert john.whoami() == OLD
    assert count(service, "users") == 2


def test_unchanged_profile_is_not_recorded(service, google, jane):
    jane.sign_in(google, sub="jane", email=OLD.upper(), name="Jane Smith")
    jane.sign_in(google, sub="jane", email=OLD, name=None)
    assert audit(service, "user-change") == []
    assert jane.whoami() == OLD


def test_unverified_address_is_marked(service, google, jane, combine):
    assert "No provider" not in jane.client.get("/account")
    jane.sign_in(google, sub="jane", email=NEW, email_verified=False)
    assert jane.whoami() == OLD
    assert "No provider verifies this address" in jane.client.get("/account")
    [_, row] = combine("user list").stdout.splitlines()
    assert row.split()[3:5] == ["yes", "no"]


def test_new_address_of_another_user_is_not_used(service, google, jane, caplog):
    service.user(NEW)
    jane.sign_in(google, sub="jane", email=NEW)
    assert jane.whoami() == OLD
    assert "No provider verifies this address" in jane.client.get("/account")
    assert f"combine user show {OLD}" in caplog.text


def test_address_stays_while_another_provider_verifies_it(service, google, microsoft, jane):
    jane.sign_in(
        microsoft, "microsoft", {"purpose": "link"}, sub="jane at ms", email=OLD, xms_edov=True
    )
    jane.sign_in(google, sub="jane", email=NEW, name="Jane Smith")
    assert jane.whoami() == OLD
    # The address changes once the last provider that verified it reports another one.
    jane.sign_in(microsoft, "microsoft", sub="jane at ms", email="jm@example.com", xms_edov=True)
    assert jane.whoami() == "jm@example.com"


def test_address_set_by_an_operator_stays(service, google, browser, combine):
    link = link_of(combine("user create boss@example.com --name Boss"))
    accept(browser, google, link, email="other@example.com")
    browser.sign_in(google, email="other@example.com", name="Other")
    assert browser.client.get("/whoami").json["email"] == "boss@example.com"
    assert "no provider verifies this address" in combine("user show boss@example.com").stdout


def test_set_email_rejects_an_address_in_use(service, combine):
    service.user("ann@example.com")
    service.user("bob@example.com")
    result = combine("user set-email ann@example.com Bob@example.com")
    assert result.exit_code == 1
    assert "A user with the address bob@example.com already exists" in result.stderr
    assert "not an e-mail address" in combine("user set-email ann@example.com x").stderr
    assert combine("user set-email ann@example.com Ann@example.com").exit_code == 0


def test_links_are_revoked_when_the_address_changes(service, google, jane, combine):
    for change in (
        lambda: jane.sign_in(google, sub="jane", email=NEW),
        lambda: combine(f"user set-email {NEW} jane@example.com"),
    ):
        [(email,)] = service.execute("SELECT email FROM users")
        link = link_of(combine(f"user invite {email} --yes"))
        change()
        john = Browser(service)
        john.failure(john.client.get(link), "invitation_invalid", 400)
