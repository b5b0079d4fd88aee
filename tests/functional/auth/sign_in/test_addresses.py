"""Tests email addresses with several spellings, and reserved addresses."""

from __future__ import annotations

import pytest

from combine_auth.health import sign_in as sign_in_check
from combine_core.users import add_user, colliding_emails, find_user
from tests.functional.auth.sign_in.conftest import Browser, count

SPELLINGS = [
    "ann@m\u00fcnchen.de",
    "Ann@M\u00dcNCHEN.de",
    "ann@xn--mnchen-3ya.de",
    "ann@XN--MNCHEN-3YA.DE.",
    "ann@mu\u0308nchen.de",
]


def store(service, email):
    """Store the address as it is written, like an earlier release."""
    service.execute(
        "INSERT INTO users (id, email, name, is_admin)"
        " VALUES (gen_random_uuid(), :email, 'Ann', false)",
        email=email,
    )


@pytest.mark.parametrize("written", SPELLINGS)
def test_an_account_of_an_earlier_release_is_found(service, google, written):
    store(service, written)
    for spelling in SPELLINGS:
        with service.session() as session:
            assert find_user(session, spelling) is not None
            assert add_user(session, spelling) is None
        browser = Browser(service)
        browser.failure(browser.sign_in(google, email=spelling), "email_in_use", 409)
    assert count(service, "users") == 1


def test_accounts_that_collide_are_listed_and_not_changed(service):
    for email in (SPELLINGS[2], SPELLINGS[0], "b@x.de", "b@x.de.", "c@m\u00fcnchen.de"):
        store(service, email)
    expected = [("ann@m\u00fcnchen.de", "ann@xn--mnchen-3ya.de"), ("b@x.de", "b@x.de.")]
    with service.session() as session:
        assert colliding_emails(session) == expected
    told = sign_in_check(service.registry).data["one_address_twice"]
    assert told["accounts"] == [f"{one} and {other}" for one, other in expected]
    assert "combine user set-email" in told["remedy"]
    assert count(service, "users") == 5


@pytest.mark.parametrize(
    "email", ["ann@localhost", "ann@intranet.test", "0f@unverified.invalid", "ann@x.Example."]
)
def test_a_reserved_address_from_a_provider_is_not_used(service, browser, google, email):
    browser.sign_in(google, email=email)
    [(stored,)] = service.execute("SELECT email FROM users")
    assert stored.endswith("@unverified.invalid")
    assert stored != email
