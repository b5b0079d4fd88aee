"""Tests the invitation link of an operator, from ``combine user create`` to the first sign-in."""

from __future__ import annotations

import pytest

from tests.functional.auth.sign_in.conftest import HOST, Browser, audit, codes_of_callbacks, count


def link_of(result):
    """Return the path of the link, which is the only output of a command on stdout."""
    assert result.exit_code == 0, result.output
    [line] = result.stdout.splitlines()
    assert line.startswith(f"{HOST}/auth/invitation?token=")
    return line.removeprefix(HOST)


def accept(browser, issuer, link, provider="google", **claims):
    page = browser.client.get(link)
    if "this is my account" in page:
        page = next(f for f in page.forms.values() if f.action == "/auth/invitation").submit()
    form = next(f for f in page.forms.values() if f.action == f"/auth/{provider}/start")
    return browser.come_back(issuer.callback_url(form.submit(status=303).location, **claims))


def test_first_administrator_signs_in_with_a_link(service, browser, google, combine):
    link = link_of(combine("user create boss@example.com --admin --name Boss"))
    page = browser.client.get(link)
    assert "Welcome, Boss" in page
    assert "an administrator" in page
    assert accept(browser, google, link, email="other@example.com").location == f"{HOST}/"
    me = browser.client.get("/whoami").json
    assert (me["email"], me["admin"]) == ("boss@example.com", True)
    assert count(service, "users") == 1
    again = Browser(service)
    again.sign_in(google, email="other@example.com")
    assert again.whoami() == "boss@example.com"
    assert audit(service, "user-create") == ["ok"]
    # The link was created and used.
    assert audit(service, "invitation") == ["ok", "ok"]


def test_address_without_the_link_is_rejected(service, browser, google, combine):
    """The user exists. A user without the link does not get the account, even with a verified address."""
    link = link_of(combine("user create ann@example.com --admin"))
    page = browser.failure(browser.sign_in(google), "invitation_unopened", 403)
    assert "Open the link" in page
    accept(browser, google, link)
    # After someone has opened the link, this user does not get the account either.
    other = Browser(service)
    other.failure(other.sign_in(google, sub="another"), "email_in_use", 409)


def test_link_works_once(service, browser, google, combine):
    link = link_of(combine("user create ann@example.com"))
    accept(browser, google, link)
    other = Browser(service)
    other.failure(other.client.get(link), "invitation_invalid", 400)


def test_only_one_of_two_users_gets_the_account(service, browser, google, combine):
    link = link_of(combine("user create ann@example.com"))
    backs = []
    browsers = [browser, Browser(service)]
    for number, one in enumerate(browsers):
        page = one.client.get(link)
        form = next(f for f in page.forms.values() if "google" in f.action)
        url = form.submit(status=303).location
        backs.append(google.callback_url(url, sub=f"person {number}"))
    assert codes_of_callbacks(browsers, backs) == ["invitation_invalid", "ok"]
    assert count(service, "identities") == 1


def test_new_link_revokes_the_earlier_one(service, browser, google, combine):
    first = link_of(combine("user create ann@example.com"))
    page = browser.client.get(first)
    form = next(f for f in page.forms.values() if "google" in f.action)
    back = google.callback_url(form.submit(status=303).location, sub="finder")
    second = link_of(combine("user invite Ann@example.com"))
    # Neither the old link nor a browser that opened it earlier works.
    browser.failure(browser.client.get(first), "invitation_invalid", 400)
    browser.failure(browser.come_back(back), "invitation_invalid", 400)
    assert count(service, "identities") == 0
    accept(browser, google, second)
    assert browser.whoami() == "ann@example.com"


def test_expired_link_is_rejected(service, browser, google, combine):
    link = link_of(combine("user create ann@example.com"))
    [(days,)] = service.execute("SELECT (expires_at - created_at)::text FROM invitations")
    assert days == "7 days"
    page = browser.client.get(link)
    form = next(f for f in page.forms.values() if "google" in f.action)
    url = form.submit(status=303).location
    service.execute("UPDATE invitations SET expires_at = now()")
    browser.failure(browser.client.get(link), "invitation_invalid", 400)
    browser.failure(form.submit(status=303), "invitation_invalid", 400)
    browser.failure(browser.come_back(google.callback_url(url)), "invitation_invalid", 400)


def test_link_of_a_disabled_user_is_rejected(browser, google, combine):
    link = link_of(combine("user create ann@example.com"))
    page = browser.client.get(link)
    form = next(f for f in page.forms.values() if "google" in f.action)
    back = google.callback_url(form.submit(status=303).location)
    combine("user disable ann@example.com")
    browser.failure(browser.client.get(link), "invitation_invalid", 400)
    browser.failure(browser.come_back(back), "account_disabled", 403)
    result = combine("user invite ann@example.com")
    assert result.exit_code == 1
    assert "is disabled" in result.stderr


def test_identity_of_another_user_is_rejected(service, browser, google, combine):
    Browser(service).sign_in(google, email="bob@example.com")
    link = link_of(combine("user create ann@example.com"))
    browser.failure(accept(browser, google, link), "identity_in_use", 409)
    # The failed attempt does not use up the link.
    accept(browser, google, link, sub="another")
    assert browser.whoami() == "ann@example.com"


def test_own_identity_is_accepted_again(service, browser, google, combine):
    accept(browser, google, link_of(combine("user create ann@example.com")))
    accept(browser, google, link_of(combine("user invite ann@example.com --yes")))
    assert count(service, "identities") == 1


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "%00", "a" * 5000])
def test_unknown_token_is_rejected(browser, token):
    answer = browser.client.get(f"/auth/invitation?token={token}")
    browser.failure(answer, "invitation_invalid", 400)
    answer = browser.post("/auth/google/start", {"purpose": "invitation", "invitation": token})
    browser.failure(answer, "invitation_invalid", 400)


def test_token_is_not_stored(service, combine):
    link = link_of(combine("user create ann@example.com"))
    token = link.partition("token=")[2]
    [(row,)] = service.execute("SELECT to_jsonb(i)::text FROM invitations i")
    assert token not in row
    rows = service.execute("SELECT to_jsonb(a)::text FROM audit_events a")
    assert not [r for (r,) in rows if token in r]


def test_granting_and_revoking_rights_ends_the_session(service, browser, google, combine):
    """A change of rights starts a new session."""
    browser.sign_in(google)
    assert combine("user grant-admin ann@example.com").exit_code == 0
    assert browser.whoami() is None
    browser.sign_in(google)
    assert browser.client.get("/whoami").json["admin"] is True
    assert combine("user revoke-admin ann@example.com").exit_code == 0
    assert browser.whoami() is None
    browser.sign_in(google)
    assert browser.client.get("/whoami").json["admin"] is False
    assert audit(service, "admin-grant") == audit(service, "admin-revoke") == ["ok"]
    assert combine("user revoke-admin nobody@example.com").exit_code == 1
