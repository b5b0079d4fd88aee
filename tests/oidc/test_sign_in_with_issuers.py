"""Tests sign-in with independent issuers over HTTP."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest

from tests.oidc.issuer import CLIENT_SECRET, OTHER_TENANT, TENANT, skip_without_node

skip_without_node()

THIRD_TENANT = "11111111-2222-4333-8444-555555555555"


def changed(url, **parameters):
    """Return the address with other parameters. ``None`` removes one."""
    parts = urlsplit(url)
    query = {name: value for name, (value,) in parse_qs(parts.query).items()} | parameters
    kept = {name: value for name, value in query.items() if value is not None}
    return urlunsplit(parts._replace(query=urlencode(kept)))


def test_a_user_keeps_the_same_account(service, new_visitor):
    for provider, name in (("google", "anna"), ("microsoft", "ben")):
        visitor = new_visitor(service)
        answer = visitor.sign_in(provider, name, next_path="/projects")
        assert answer.status_code == 303
        assert urlsplit(answer.headers["Location"]).path == "/projects"
        me = visitor.me()
        assert me["email"] == f"{name}@example.com"
        assert me["name"] == name.title()
        again = new_visitor(service)
        again.sign_in(provider, name)
        assert again.me()["id"] == me["id"]
        # The first browser is still signed in.
        assert visitor.me() == me
    assert CLIENT_SECRET not in service.log()


def test_the_subject_identifies_a_user_and_the_address_does_not(service, new_visitor, google):
    anna = new_visitor(service)
    anna.sign_in("google", "anna")
    # She changes her name, and her account follows. Then another user gets her old address.
    google.account("anna", email="anna.b@example.com", email_verified=True)
    later = new_visitor(service)
    later.sign_in("google", "anna")
    assert later.me()["id"] == anna.me()["id"]
    assert later.me()["email"] == "anna.b@example.com"
    google.account("other", email="anna@example.com", email_verified=True)
    other = new_visitor(service)
    other.sign_in("google", "other")
    assert other.me()["id"] != anna.me()["id"]
    # A third user does not get the account that has the address now.
    google.account("third", email="anna@example.com", email_verified=True)
    third = new_visitor(service)
    assert third.failure(third.sign_in("google", "third")) == ("email_in_use", 409)
    assert third.me() is None


def test_an_unverified_address_is_not_used(service, new_visitor, google, microsoft):
    google.account("liar", email="ben@example.com", email_verified=False)
    microsoft.account("owner", email="anna@example.com")
    strangers = []
    for provider, name in (("google", "liar"), ("microsoft", "owner")):
        visitor = new_visitor(service)
        visitor.sign_in(provider, name)
        strangers.append(visitor.me())
        assert strangers[-1]["email"].endswith("@unverified.invalid")
    # The owners of the addresses get accounts with these addresses.
    for provider, name in (("google", "anna"), ("microsoft", "ben")):
        visitor = new_visitor(service)
        visitor.sign_in(provider, name)
        assert visitor.me()["email"] == f"{name}@example.com"
        assert visitor.me()["id"] not in [stranger["id"] for stranger in strangers]


def test_a_user_who_denies_is_not_signed_in(service, new_visitor):
    for provider in ("google", "microsoft"):
        visitor = new_visitor(service)
        denied = visitor.get(visitor.deny(visitor.start(provider)))
        assert visitor.failure(denied) == ("access_denied", 400)
        assert visitor.me() is None
    visitor.sign_in("microsoft", "ben")
    assert visitor.me()["name"] == "Ben"


def test_a_code_and_a_state_work_once(service, new_visitor):
    visitor = new_visitor(service)
    first = visitor.agree(visitor.start("google"), "anna")
    assert visitor.get(first).status_code == 303
    me = visitor.me()
    # The back button requests the same address again, which does not affect the signed-in user.
    assert urlsplit(visitor.get(first).headers["Location"]).path == "/account"
    assert visitor.me() == me
    # The address is useless in another browser.
    stranger = new_visitor(service)
    assert stranger.failure(stranger.get(first)) == ("state_mismatch", 400)
    # The provider rejects the old code in every attempt.
    code = parse_qs(urlsplit(first).query)["code"][0]
    second = stranger.agree(stranger.start("google"), "anna")
    assert stranger.failure(stranger.get(changed(second, code=code))) == ("login_expired", 400)
    assert stranger.me() is None


def test_the_provider_rejects_a_wrong_verifier(service, new_visitor):
    visitor = new_visitor(service)
    started = visitor.start("google")
    other = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    started.headers["Location"] = changed(started.headers["Location"], code_challenge=other)
    answer = visitor.get(visitor.agree(started, "anna"))
    assert visitor.failure(answer) == ("login_expired", 400)
    assert visitor.me() is None


def test_a_response_with_another_nonce_or_issuer_is_rejected(service, new_visitor, microsoft):
    visitor = new_visitor(service)
    started = visitor.start("google")
    started.headers["Location"] = changed(started.headers["Location"], nonce="planted")
    answer = visitor.get(visitor.agree(started, "anna"))
    assert visitor.failure(answer) == ("id_token_invalid", 502)
    for issuer in (microsoft.issuer.replace("{tenantid}", TENANT), None):
        back = visitor.agree(visitor.start("google"), "anna")
        assert visitor.failure(visitor.get(changed(back, iss=issuer))) == ("issuer_mismatch", 400)
    assert visitor.me() is None


def test_a_browser_without_its_cookies_starts_again(service, new_visitor):
    visitor = new_visitor(service)
    back = visitor.agree(visitor.start("google"), "anna")
    visitor.forget_cookies()
    assert visitor.failure(visitor.get(back)) == ("state_mismatch", 400)
    assert visitor.failure(visitor.get(changed(back, state=None))) == ("state_missing", 400)
    assert visitor.me() is None
    visitor.sign_in("google", "anna")
    assert visitor.me()["name"] == "Anna"


def test_two_tabs_both_sign_in(service, new_visitor):
    visitor = new_visitor(service)
    with_google = visitor.start("google", "/projects")
    with_microsoft = visitor.start("microsoft", "/account")
    microsoft_back = visitor.agree(with_microsoft, "ben")
    google_back = visitor.agree(with_google, "anna")
    assert visitor.get(google_back).headers["Location"].endswith("/projects")
    assert visitor.me()["name"] == "Anna"
    assert visitor.get(microsoft_back).headers["Location"].endswith("/account")
    assert visitor.me()["name"] == "Ben"


@pytest.mark.slow
def test_only_listed_tenants_and_domains_are_accepted(serve, new_visitor, google, microsoft):
    service = serve(
        MICROSOFT_TENANTS=f"{TENANT} {THIRD_TENANT}", GOOGLE_HOSTED_DOMAINS="example.com"
    )
    visitor = new_visitor(service)
    google.account("guest", email="guest@example.com", email_verified=True)
    assert visitor.failure(visitor.sign_in("google", "guest")) == ("domain_not_allowed", 403)
    google.account("member", email="member@example.com", email_verified=True, hd="example.com")
    visitor.sign_in("google", "member")
    assert visitor.me()["name"] == "Member"
    visitor = new_visitor(service)
    visitor.sign_in("microsoft", "ben")
    assert visitor.me()["name"] == "Ben"
    microsoft.reset(tenant=OTHER_TENANT)
    microsoft.register(service.url)
    microsoft.account("ben", email="ben@example.com", xms_edov=True)
    visitor = new_visitor(service)
    assert visitor.failure(visitor.sign_in("microsoft", "ben")) == ("tenant_not_allowed", 403)
    assert visitor.me() is None


def test_the_same_subject_in_two_tenants_is_two_users(service, new_visitor, microsoft):
    ids = set()
    for tenant in (TENANT, OTHER_TENANT):
        microsoft.reset(tenant=tenant)
        microsoft.register(service.url)
        microsoft.account("carla", sub="the-same", email="carla@example.com")
        visitor = new_visitor(service)
        visitor.sign_in("microsoft", "carla")
        ids.add(visitor.me()["id"])
    assert len(ids) == 2


@pytest.mark.slow
def test_the_settings_name_the_first_administrator(serve, new_visitor, google):
    service = serve(ADMIN_SUBJECTS=f"{google.issuer}|google-anna")
    google.account("eve", email="eve@example.com", email_verified=True)
    for name, is_admin in (("eve", False), ("anna", True)):
        visitor = new_visitor(service)
        visitor.sign_in("google", name)
        page = visitor.get("/account").text
        assert ("an administrator" in page) is is_admin


def test_a_wrong_registration_is_reported_with_the_remedy(service, new_visitor, google):
    google.register(service.url, client_secret="was-renewed-in-the-console")
    visitor = new_visitor(service)
    answer = visitor.sign_in("google", "anna")
    assert visitor.failure(answer) == ("invalid_client", 502)
    page = visitor.follow(answer)
    assert "GOOGLE_CLIENT_SECRET" in page.text
    assert f"{service.url}/auth/google/callback" in page.text
    request_id = re.search(r"Request id: <code>([^<]+)<", page.text).group(1)
    (line,) = [line for line in service.log().splitlines() if "invalid_client" in line]
    assert request_id in line
    assert CLIENT_SECRET not in page.text + service.log()
    # The other provider is not affected.
    visitor.sign_in("microsoft", "ben")
    assert visitor.me()["name"] == "Ben"


@pytest.mark.parametrize("how", ["not registered here", "unknown client"])
def test_errors_shown_by_the_provider_cause_no_callback(service, new_visitor, google, how):
    changes = {"redirect_uris": ["http://127.0.0.1:1/auth/google/callback"]}
    google.register(service.url, **(changes if how.startswith("not") else {"client_id": "another"}))
    visitor = new_visitor(service)
    page = visitor.follow(visitor.start("google"))
    assert page.status_code == 400
    assert page.url.startswith(google.origin)
    assert visitor.me() is None


@pytest.mark.slow
def test_any_characters_in_a_client_secret_work(serve, new_visitor, google):
    # In HTTP Basic, both parts are form-encoded first (RFC 6749, 2.3.1).
    secret = "of:the+tests/100%25&what=not~really"
    service = serve(
        AUTH_PROVIDERS="acme microsoft",
        ACME_TITLE="The Acme Company",
        ACME_ISSUER=google.issuer,
        ACME_CLIENT_ID="combine@acme:1",
        ACME_CLIENT_SECRET=secret,
    )
    google.register(
        service.url,
        client_id="combine@acme:1",
        client_secret=secret,
        redirect_uris=[f"{service.url}/auth/acme/callback"],
    )
    visitor = new_visitor(service)
    page = visitor.get("/auth/sign-in").text
    assert "Sign in with The Acme Company" in page
    assert "Sign in with Google" not in page
    visitor.sign_in("acme", "anna")
    assert visitor.me()["email"] == "anna@example.com"
    assert secret not in service.log()
