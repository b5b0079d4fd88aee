"""Tests T23: a second identity needs a session with a recent sign-in; the last identity stays."""

from __future__ import annotations

import re
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from tests.functional.auth.conftest import at_once
from tests.functional.auth.sign_in.conftest import (
    HOST,
    SESSION,
    SUBJECT,
    Browser,
    audit,
    codes_of_callbacks,
    count,
)

ACCOUNT = "/account"


@pytest.fixture
def ann(browser, google):
    """The browser of Ann, who has just signed in with Google."""
    browser.sign_in(google)
    return browser


def grow_old(service, minutes=11):
    service.execute(f"UPDATE sessions SET created_at = created_at - interval '{minutes} minutes'")


def link(browser, issuer, provider="microsoft", **claims):
    fields = {"purpose": "link", "next": ACCOUNT}
    return browser.sign_in(issuer, provider, fields, **claims)


def providers(service):
    return [p for (p,) in service.execute("SELECT provider FROM identities ORDER BY id")]


class TestLink:
    def test_identity_is_linked_by_the_page(self, service, ann, microsoft):
        page = ann.client.get(ACCOUNT).click("Add a way to sign in")
        form = next(f for f in page.forms.values() if f.action == "/auth/microsoft/start")
        answer = ann.come_back(microsoft.callback_url(form.submit(status=303).location))
        assert answer.location == f"{HOST}{ACCOUNT}"
        assert providers(service) == ["google", "microsoft"]
        assert count(service, "users") == 1
        assert audit(service, "identity-link") == ["ok"]
        listed = ann.client.get(ACCOUNT).html.find("table").text
        assert "Google" in listed
        assert "Microsoft" in listed

    def test_both_identities_sign_in_the_same_user(self, service, ann, google, microsoft):
        link(ann, microsoft, email="ann@work.example")
        other = Browser(service)
        other.sign_in(microsoft, "microsoft", email="ann@work.example")
        assert other.whoami() == "ann@example.com"

    def test_linking_starts_a_new_session(self, ann, microsoft):
        before = ann.client.cookies[SESSION]
        link(ann, microsoft)
        assert ann.client.cookies[SESSION] != before
        assert ann.whoami() == "ann@example.com"

    def test_linking_again_changes_nothing(self, service, ann, microsoft):
        link(ann, microsoft)
        link(ann, microsoft)
        assert count(service, "identities") == 2
        assert audit(service, "identity-link") == ["ok"]

    def test_address_of_the_identity_is_ignored(self, service, ann, microsoft):
        service.user("bob@example.com")
        link(ann, microsoft, email="bob@example.com", xms_edov=True)
        assert ann.whoami() == "ann@example.com"

    def test_identity_of_another_user_is_rejected(self, service, ann, microsoft):
        Browser(service).sign_in(microsoft, "microsoft", email="bob@example.com", xms_edov=1)
        page = ann.failure(link(ann, microsoft), "identity_in_use", 409)
        assert page.html.find("a", href=ACCOUNT)
        assert count(service, "identities") == 2
        assert ann.whoami() == "ann@example.com"

    def test_stranger_cannot_link(self, service, browser, google):
        answer = browser.post("/auth/google/start", {"purpose": "link"})
        browser.failure(answer, "signed_out", 403)
        assert count(service, "sign_in_attempts") == 0

    def test_linking_after_sign_out_is_rejected(self, service, ann, microsoft):
        back = microsoft.callback_url(ann.start("microsoft", purpose="link"))
        ann.post("/auth/sign-out", status=303)
        ann.failure(ann.come_back(back), "signed_out", 403)
        assert providers(service) == ["google"]

    def test_linking_after_another_user_signed_in_is_rejected(
        self, service, ann, google, microsoft
    ):
        back = microsoft.callback_url(ann.start("microsoft", purpose="link"))
        ann.sign_in(google, sub="bob", email="bob@example.com")
        ann.failure(ann.come_back(back), "wrong_user", 403)
        assert providers(service) == ["google", "google"]

    def test_token_cannot_link(self, service, google):
        user = service.user()
        headers = {"Authorization": f"Bearer {service.token(user)}"}
        client = service.client()
        answer = client.post("/auth/google/start", {"purpose": "link"}, headers=headers)
        Browser(service).failure(answer, "signed_out", 403)

    def test_parallel_requests_link_to_one_user(self, service, google, microsoft):
        browsers = [Browser(service) for _ in range(6)]
        backs = []
        for number, one in enumerate(browsers):
            one.sign_in(google, sub=f"s{number}", email=f"s{number}@example.com")
            backs.append(microsoft.callback_url(one.start("microsoft", purpose="link")))
        codes = codes_of_callbacks(browsers, backs)
        assert codes == [*["identity_in_use"] * 5, "ok"]
        assert providers(service).count("microsoft") == 1


class TestFreshness:
    def test_old_session_is_rejected(self, service, ann, google, microsoft):
        grow_old(service)
        answer = ann.post("/auth/microsoft/start", {"purpose": "link"})
        page = ann.failure(answer, "not_fresh", 403)
        assert page.html.find("a", href=ACCOUNT)
        assert count(service, "sign_in_attempts") == 1

    def test_page_asks_to_confirm_first(self, service, ann, google, microsoft):
        grow_old(service)
        page = ann.client.get("/account/identities/add")
        assert "Confirm that it is you" in page
        # Ann can confirm only with her own identity.
        [form] = [f for f in page.forms.values() if "/start" in f.action]
        assert form.action == "/auth/google/start"
        url = form.submit(status=303).location
        asked = parse_qs(urlsplit(url).query)
        assert asked["prompt"] == ["login"]
        assert asked["max_age"] == ["0"]
        before = ann.client.cookies[SESSION]
        answer = ann.come_back(google.callback_url(url))
        assert answer.location == f"{HOST}/account/identities/add"
        assert ann.client.cookies[SESSION] != before
        page = answer.follow()
        assert "Add a way to sign in" in page
        link(ann, microsoft)
        assert providers(service) == ["google", "microsoft"]

    def test_deleting_the_account_asks_to_confirm_first(self, service, ann, google):
        forms = ann.client.get("/account/delete").forms.values()
        [form] = [form for form in forms if form.action == "/account/delete"]
        grow_old(service)
        refused = form.submit(status=403)
        assert "Confirm that it is you" in refused
        assert count(service, "users") == 1
        page = ann.client.get("/account/delete")
        assert "/account/delete" not in [form.action for form in page.forms.values()]
        [form] = [f for f in page.forms.values() if "/start" in f.action]
        answer = ann.come_back(google.callback_url(form.submit(status=303).location))
        assert answer.location == f"{HOST}/account/delete"
        [form] = [f for f in answer.follow().forms.values() if f.action == "/account/delete"]
        form.submit(status=303)
        assert count(service, "users") == 0

    def confirm(self, browser, issuer, provider="google", **claims):
        return browser.sign_in(issuer, provider, {"purpose": "confirm"}, **claims)

    def test_confirming_with_a_new_identity_is_rejected(self, service, ann, google):
        grow_old(service)
        answer = self.confirm(ann, google, sub="bob", email="bob@example.com")
        ann.failure(answer, "wrong_user", 403)
        assert count(service, "users") == 1
        assert ann.whoami() == "ann@example.com"

    def test_confirming_as_another_user_is_rejected(self, service, ann, google, microsoft):
        grow_old(service)
        Browser(service).sign_in(microsoft, "microsoft")
        ann.failure(self.confirm(ann, microsoft, "microsoft"), "wrong_user", 403)

    def test_old_auth_time_is_rejected(self, ann, google):
        answer = self.confirm(ann, google, auth_time=int(time.time()) - 120)
        ann.failure(answer, "not_fresh", 403)

    @pytest.mark.parametrize("auth_time", [None, "yesterday", -5, 10**30])
    def test_missing_auth_time_is_accepted(self, service, ann, google, auth_time):
        google.change = lambda claims: {**claims, "auth_time": auth_time}
        assert self.confirm(ann, google).location == f"{HOST}/"

    def test_clock_of_the_provider_may_be_slow(self, ann, google):
        assert self.confirm(ann, google, auth_time=int(time.time()) - 50).location == f"{HOST}/"

    def test_stranger_cannot_confirm(self, browser, google):
        answer = browser.post("/auth/google/start", {"purpose": "confirm"})
        browser.failure(answer, "signed_out", 403)

    def test_local_developer_signs_in_again(self, service, browser):
        browser.post("/auth/local", status=303)
        grow_old(service)
        page = browser.client.get("/account/identities/add")
        assert "Sign in again first" in page
        assert not [f for f in page.forms.values() if "/start" in f.action]

    def test_local_developer_links(self, service, browser, google):
        browser.post("/auth/local", status=303)
        link(browser, google, "google")
        assert browser.whoami() == "local@localhost"


class TestUnlink:
    def removes(self, browser):
        page = browser.client.get(ACCOUNT)
        return [f for f in page.forms.values() if f.action.endswith("/remove")]

    def test_identity_is_removed(self, service, ann, google, microsoft):
        link(ann, microsoft)
        google_first, _ = self.removes(ann)
        assert google_first.submit(status=303).location == f"{HOST}{ACCOUNT}"
        assert providers(service) == ["microsoft"]
        assert audit(service, "identity-unlink") == ["ok"]
        other = Browser(service)
        other.failure(other.sign_in(google), "email_in_use", 409)
        other.sign_in(microsoft, "microsoft")
        assert other.whoami() == "ann@example.com"

    def test_last_identity_cannot_be_removed(self, service, ann):
        assert self.removes(ann) == []
        [(identity,)] = service.execute("SELECT id FROM identities")
        page = ann.post(f"{ACCOUNT}/identities/{identity}/remove", status=409)
        assert "lock yourself out" in page
        assert providers(service) == ["google"]

    def test_parallel_removals_leave_one_identity(self, service, ann, microsoft):
        link(ann, microsoft)
        paths = [form.action for form in self.removes(ann)]
        csrf = ann.client.cookies["combine_csrf"]
        cookie = f"{SESSION}={ann.client.cookies[SESSION]}; combine_csrf={csrf}"
        headers = {"Cookie": cookie, "X-CSRF-Token": csrf}
        answers = at_once(
            lambda path: service.client().post(path, headers=headers, expect_errors=True), paths
        )
        assert sorted(answer.status_int for answer in answers) == [303, 409]
        assert len(providers(service)) == 1

    def test_identities_of_others_are_not_found(self, service, ann, google, microsoft):
        link(ann, microsoft)
        bob = Browser(service)
        bob.sign_in(google, sub="bob", email="bob@example.com")
        [identity] = service.execute("SELECT id FROM identities WHERE subject = :s", s=SUBJECT)[:1]
        bob.post(f"{ACCOUNT}/identities/{identity[0]}/remove", status=404)
        assert len(providers(service)) == 3

    def test_get_removes_nothing(self, service, ann, microsoft):
        link(ann, microsoft)
        ann.client.get(self.removes(ann)[0].action, status=405)
        assert len(providers(service)) == 2


def test_account_page_shows_identities_and_sessions(service, google):
    browser = Browser(
        service,
        HTTP_USER_AGENT="Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0",
    )
    browser.sign_in(google, email_verified=False, email="<b>@example.com")
    page = browser.client.get(ACCOUNT)
    text = re.sub(r"\s+", " ", page.html.find("main").text)
    assert "without a verified address" in text
    assert "(not verified)" in text
    assert "Firefox on Windows (this one)" in text
    assert "127.0.0.1" in text
    assert ", with Google" in text
    assert "<b>@" not in page.text
    assert f"{google.issuer}|{SUBJECT}" in page.text


def test_identity_is_removed_during_a_sign_in(service, ann, google, microsoft, wait_for_lock):
    """Neither request fails, whichever comes first."""
    link(ann, microsoft)
    other = Browser(service)
    back = microsoft.callback_url(other.start("microsoft"))
    with service.session() as session:
        session.execute(text("SELECT 1 FROM identities FOR UPDATE"))
        answers = []
        coming = threading.Thread(target=lambda: answers.append(other.come_back(back)))
        coming.start()
        wait_for_lock()
        session.execute(text("DELETE FROM identities WHERE provider = 'microsoft'"))
    coming.join(60)
    # The provider sees the same user. The service sees a new one.
    assert answers[0].location == f"{HOST}/"
    assert other.whoami() != "ann@example.com"
    assert ann.whoami() == "ann@example.com"
