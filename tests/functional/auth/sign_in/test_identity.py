"""Tests how an identity is matched to a user. T20 to T24."""

from __future__ import annotations

import pytest

from tests.functional.auth.sign_in.conftest import (
    SESSION,
    SUBJECT,
    Browser,
    audit,
    codes_of_callbacks,
    count,
)
from tests.oidc_issuer import TENANT


def emails(service):
    return [email for (email,) in service.execute("SELECT email FROM users ORDER BY id")]


class TestT20UnverifiedAddress:
    """An unverified address does not give access to the account with that address."""

    @pytest.mark.parametrize("verified", [False, "false", None, "yes", 0, [], "True"])
    def test_unverified_address_creates_a_new_account(self, service, browser, google, verified):
        ann = service.user("ann@example.com")
        browser.sign_in(google, email_verified=verified)
        assert browser.whoami() != "ann@example.com"
        [(email, name)] = service.execute(
            "SELECT email, name FROM users WHERE id <> :id", id=ann.id
        )
        assert email.endswith("@unverified.invalid")
        assert len(email.partition("@")[0]) == 20
        assert name == "Ann Example"
        assert service.execute("SELECT email, email_verified FROM identities") == [
            ("ann@example.com", False)
        ]

    def test_verified_address_of_another_account_is_rejected(self, service, browser, google):
        service.user("Ann@Example.com")
        page = browser.failure(browser.sign_in(google), "email_in_use", 409)
        assert "already has an account" in page
        assert count(service, "identities") == 0

    def test_missing_address_creates_an_account(self, service, browser, google):
        browser.sign_in(google, email=None, name=None)
        [(email, name)] = service.execute("SELECT email, name FROM users")
        assert email.endswith("@unverified.invalid")
        assert name == "Somebody from google"

    def test_next_sign_in_uses_the_same_account(self, service, browser, google):
        browser.sign_in(google, email_verified=False)
        Browser(service).sign_in(google, email_verified=False)
        assert count(service, "users") == 1

    def test_address_is_used_once_it_is_verified(self, service, browser, google):
        browser.sign_in(google, email_verified=False)
        browser.sign_in(google)
        assert emails(service) == ["ann@example.com"]
        assert browser.whoami() == "ann@example.com"

    def test_verified_address_of_another_user_is_not_used(self, service, browser, google):
        browser.sign_in(google, email_verified=False)
        before = browser.whoami()
        service.user("ann@example.com")
        browser.sign_in(google)
        assert browser.whoami() == before
        assert service.execute("SELECT email_verified FROM identities") == [(True,)]


class TestT21NoAuth:
    """The owner of a Microsoft tenant enters the address of another user (nOAuth)."""

    def test_identity_is_not_linked_by_address(self, service, browser, microsoft):
        service.user("victim@example.com")
        browser.sign_in(microsoft, "microsoft", email="victim@example.com", sub="attacker")
        assert browser.whoami() != "victim@example.com"

    @pytest.mark.parametrize("edov", [1, "1", True])
    def test_identity_is_not_linked_with_xms_edov(self, service, browser, microsoft, edov):
        service.user("victim@example.com")
        answer = browser.sign_in(
            microsoft, "microsoft", email="victim@example.com", sub="attacker", xms_edov=edov
        )
        browser.failure(answer, "email_in_use", 409)
        assert count(service, "sessions") == 0

    @pytest.mark.parametrize(("edov", "verified"), [(1, True), ("1", True), (0, False), (2, False)])
    def test_xms_edov_gives_a_new_account_its_address(
        self, service, browser, microsoft, edov, verified
    ):
        browser.sign_in(microsoft, "microsoft", xms_edov=edov)
        assert (emails(service) == ["ann@example.com"]) is verified

    def test_email_verified_from_microsoft_is_ignored(self, service, browser, microsoft):
        browser.sign_in(microsoft, "microsoft", email_verified=True)
        assert emails(service) != ["ann@example.com"]

    def test_same_subject_in_another_tenant_is_another_user(self, service, browser, microsoft):
        browser.sign_in(microsoft, "microsoft", sub="1")
        first = browser.whoami()
        microsoft.tenant = "11111111-2222-3333-4444-555555555555"
        browser.sign_in(microsoft, "microsoft", sub="1")
        assert browser.whoami() != first
        issuers = [i for (i,) in service.execute("SELECT issuer FROM identities ORDER BY id")]
        assert TENANT in issuers[0]
        assert microsoft.tenant in issuers[1]


class TestT22ChangingAddress:
    """The subject identifies the user."""

    def test_same_subject_with_a_new_address_is_the_same_user(self, service, browser, google):
        browser.sign_in(google)
        browser.sign_in(google, email="married@example.com")
        assert browser.whoami() == "married@example.com"
        assert count(service, "users") == 1
        assert service.execute("SELECT email FROM identities") == [("married@example.com",)]

    def test_new_subject_with_the_same_address_is_rejected(self, service, browser, google):
        browser.sign_in(google)
        other = Browser(service)
        other.failure(other.sign_in(google, sub="somebody else"), "email_in_use", 409)
        assert other.whoami() is None

    def test_same_subject_from_another_provider_is_another_user(
        self, service, browser, google, microsoft
    ):
        browser.sign_in(google)
        browser.sign_in(microsoft, "microsoft", sub=SUBJECT)
        assert count(service, "users") == 2


class TestT24Disabled:
    """The provider accepts the user, but the service does not."""

    def test_disabled_user_is_rejected(self, service, browser, google):
        browser.sign_in(google)
        service.execute("UPDATE users SET disabled_at = now()")
        other = Browser(service)
        page = other.failure(other.sign_in(google), "account_disabled", 403)
        assert "combine user enable" in page
        assert count(service, "sessions") == 1
        assert audit(service) == ["ok", "account_disabled"]

    def test_session_and_token_end_at_the_next_request(self, service, browser, google):
        browser.sign_in(google)
        [(user_id,)] = service.execute("SELECT id FROM users")
        from combine_auth.tokens.service import create_token

        with service.session() as session:
            token = create_token(session, user_id, "test", 90)[0]
        by_token = {"Authorization": f"Bearer {token}"}
        assert service.client().get("/whoami", headers=by_token).json["email"]
        service.execute("UPDATE users SET disabled_at = now()")
        assert browser.whoami() is None
        assert service.client().get("/whoami", headers=by_token).json["email"] is None


@pytest.mark.parametrize("verified", [True, False])
def test_many_first_sign_ins_of_one_identity_make_one_user(service, google, verified):
    browsers = [Browser(service) for _ in range(8)]
    backs = [google.callback_url(b.start(), email_verified=verified) for b in browsers]
    assert codes_of_callbacks(browsers, backs) == ["ok"] * 8
    assert [count(service, table) for table in ("users", "identities", "sessions")] == [1, 1, 8]
    assert audit(service, "user-create") == ["ok"]


def test_many_identities_with_one_address_make_one_user(service, google):
    browsers = [Browser(service) for _ in range(8)]
    backs = [google.callback_url(b.start(), sub=f"sub {n}") for n, b in enumerate(browsers)]
    assert codes_of_callbacks(browsers, backs) == [*["email_in_use"] * 7, "ok"]
    assert [count(service, table) for table in ("users", "identities", "sessions")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", "ann"),
        (" ", "ann"),
        (5, "ann"),
        (["x"], "ann"),
        (None, "ann"),
        ("  Ann  ", "Ann"),
        ("x" * 201, "x" * 200),
        ("a\n\x00\u202eb", "a b"),
    ],
)
def test_unusual_names_are_cleaned(service, browser, google, name, shown):
    browser.sign_in(google, name=name)
    assert service.execute("SELECT name FROM users") == [(shown,)]


@pytest.mark.parametrize("subject", ["a\x00b", "x" * 256, "\n", "a\u2028b"])
def test_unstorable_subject_is_rejected(service, browser, google, subject):
    browser.failure(browser.sign_in(google, sub=subject), "id_token_invalid", 502)
    assert count(service, "users") == 0


class TestAdministrators:
    """The first user does not become an administrator."""

    def test_first_user_is_not_an_administrator(self, service, browser, google):
        browser.sign_in(google)
        assert service.execute("SELECT is_admin FROM users") == [(False,)]

    def test_admin_subjects_are_administrators(self, make_service, google):
        subjects = f"{google.issuer}|{SUBJECT} https://other.example|1"
        service = make_service({"combine_auth.admin_subjects": subjects})
        browser = Browser(service)
        browser.sign_in(google)
        assert browser.client.get("/whoami").json["admin"] is True
        assert audit(service, "admin-grant") == ["ok"]
        browser.sign_in(google)
        assert audit(service, "admin-grant") == ["ok"]
        other = Browser(service)
        other.sign_in(google, sub="2", email="bob@example.com")
        assert other.client.get("/whoami").json["admin"] is False

    def test_same_subject_from_another_issuer_is_not_an_administrator(
        self, make_service, google, microsoft
    ):
        service = make_service({"combine_auth.admin_subjects": f"{google.issuer}|{SUBJECT}"})
        browser = Browser(service)
        browser.sign_in(microsoft, "microsoft", sub=SUBJECT)
        assert browser.client.get("/whoami").json["admin"] is False


def test_each_sign_in_starts_a_new_session(service, browser, google):
    browser.sign_in(google)
    first = browser.client.cookies[SESSION]
    browser.sign_in(google)
    assert browser.client.cookies[SESSION] != first
    assert count(service, "sessions") == 1
