"""Tests providers that omit the claims of the user from the ID token (OpenID Connect Core, 5.3, 5.4)."""

from __future__ import annotations

import logging

import pytest

from combine_auth.failures import FailureCode
from combine_auth.openid.id_token import Claims
from tests.oidc_issuer import Fault
from tests.unit.auth.openid.conftest import failure


@pytest.fixture
def thin(google):
    google.issuer.is_thin = True
    return google


def test_claims_missing_from_the_token_come_from_userinfo(thin):
    claims = thin.sign_in()
    assert (claims.name, claims.email, claims.email_verified) == (
        "Ann Example",
        "ann@example.com",
        True,
    )
    assert thin.issuer.counts["userinfo"] == 1


def test_userinfo_is_not_requested_without_need(google, microsoft, make_party):
    google.sign_in()
    microsoft.issuer.is_thin = True
    assert microsoft.sign_in().email is None
    not_wanted = make_party(scopes=("openid",))
    not_wanted.issuer.is_thin = True
    assert not_wanted.sign_in().name is None
    for party in (google, microsoft, not_wanted):
        assert party.issuer.counts["userinfo"] == 0


def test_each_scope_requests_its_own_claim(make_party):
    for scope, expected in (
        ("email", (None, "ann@example.com")),
        ("profile", ("Ann Example", None)),
    ):
        party = make_party(scopes=("openid", scope))
        party.issuer.is_thin = True
        claims = party.sign_in()
        assert (claims.name, claims.email) == expected


@pytest.mark.parametrize("sub", [None, "", "somebody-else", 7, ["110169484474386276334"]])
def test_userinfo_of_another_user_is_rejected(thin, sub):
    thin.issuer.userinfo_answer = lambda about: {**about, "sub": sub}
    found = failure(thin)
    assert found.code is FailureCode.ID_TOKEN_INVALID
    assert "sub differs" in found.detail


@pytest.mark.parametrize("answer", [None, [], "Ann", {}, 7, {"email": "ann@example.com"}])
def test_userinfo_without_a_subject_is_rejected(thin, answer):
    thin.issuer.userinfo_answer = lambda _: answer
    assert failure(thin).code is FailureCode.ID_TOKEN_INVALID


def test_address_and_verification_come_from_one_source(google):
    # The token does not verify an address, and the userinfo contains one that it does not verify.
    google.issuer.change = lambda claims: {k: v for k, v in claims.items() if k != "email"}
    google.issuer.userinfo_answer = lambda about: {"sub": about["sub"], "email": "ben@example.com"}
    claims = google.sign_in()
    assert (claims.email, claims.email_verified) == ("ben@example.com", False)


def test_a_name_from_userinfo_does_not_change_the_address(google):
    google.issuer.change = lambda claims: {k: v for k, v in claims.items() if k != "name"}
    google.issuer.userinfo_answer = lambda about: {
        **about,
        "email": "ben@example.com",
        "name": "Ann from userinfo",
    }
    claims = google.sign_in()
    assert (claims.name, claims.email) == ("Ann from userinfo", "ann@example.com")


def test_domain_rules_apply_to_the_address_from_userinfo(make_party):
    party = make_party(allowed_email_domains=frozenset({"example.org"}))
    party.issuer.is_thin = True
    assert failure(party).code is FailureCode.DOMAIN_NOT_ALLOWED
    assert party.sign_in(email="ann@example.org").email == "ann@example.org"


@pytest.mark.parametrize("endpoint", [None, "", "ftp://127.0.0.1/", "http://evil.example/"])
def test_a_provider_may_have_no_userinfo_endpoint(thin, endpoint):
    thin.issuer.metadata = {"userinfo_endpoint": endpoint}
    assert isinstance(thin.sign_in(), Claims)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500),
        Fault(401, {"error": "invalid_token"}),
        Fault(200, "<html>"),
        Fault(200, "[" * 5000),
        Fault(reset=True),
        Fault(302, headers={"Location": "http://[x"}),
        Fault(200, "eyJhbGciOiJSUzI1NiJ9.e30.x", headers={"Content-Type": "application/jwt"}),
    ],
    ids=str,
)
def test_failures_of_userinfo(thin, fault, caplog):
    caplog.set_level(logging.DEBUG)
    thin.issuer.faults["userinfo"] = fault
    found = failure(thin)
    assert found.code in {FailureCode.PROVIDER_UNAVAILABLE, FailureCode.PROVIDER_ERROR}
    assert "userinfo" in found.detail
    assert "canary" not in caplog.text + found.detail


@pytest.mark.parametrize("token", ["a\r\nX: y", "\u20ac", "", "a" * 100_000, 7, None])
def test_unusable_access_tokens_are_not_sent(thin, token):
    thin.issuer.token_answer = lambda answer: {**answer, "access_token": token}
    if isinstance(token, str):
        failure(thin)
    else:
        # This token cannot be sent, so the ID token must be enough.
        assert thin.sign_in().email is None
