"""Tests that tenant and object id identify users after a new Entra registration changes their subjects."""

from __future__ import annotations

import threading
from uuid import uuid4

import pytest

from tests.functional.auth.sign_in.conftest import Browser, audit, count

OID = "1f9c4b6e-3a3a-4c7e-9a70-6d0f4be0a111"
# What Microsoft's tokens say of Ann, with the subject of one registration.
ANN = {"sub": "ann-of-the-first", "oid": OID, "xms_edov": True}
ANEW = {**ANN, "sub": "ann-of-the-second"}


def subjects(service):
    return service.execute("SELECT subject FROM identities ORDER BY id")


def test_a_person_with_a_new_subject_is_recognised(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    later = Browser(service)
    later.sign_in(microsoft, "microsoft", **ANEW)
    assert later.whoami() == "ann@example.com"
    assert count(service, "users") == count(service, "identities") == 1
    assert subjects(service) == [("ann-of-the-second",)]
    assert audit(service, "identity-subject") == ["ok"]
    [(target, before, after)] = service.execute(
        "SELECT target, details->>'before', details->>'after' FROM audit_events"
        " WHERE action = 'identity-subject'"
    )
    [(user,)] = service.execute("SELECT id FROM users")
    assert (target, before, after) == (f"user:{user}", ANN["sub"], ANEW["sub"])
    # And from now on by the subject.
    Browser(service).sign_in(microsoft, "microsoft", **ANEW)
    assert audit(service, "identity-subject") == ["ok"]


def test_tenant_and_object_id_are_kept_at_each_sign_in(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    # Of a release that did not keep them.
    service.execute("UPDATE identities SET tenant = NULL, object_id = NULL")
    browser.sign_in(microsoft, "microsoft", **ANN)
    assert service.execute("SELECT tenant, object_id FROM identities") == [(microsoft.tenant, OID)]


def test_another_tenant_with_the_same_object_id_is_somebody_else(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    microsoft.tenant = str(uuid4())
    eve = Browser(service)
    eve.sign_in(microsoft, "microsoft", **ANEW, email="eve@example.com")
    assert eve.whoami() == "eve@example.com"
    assert count(service, "users") == 2
    assert audit(service, "identity-subject") == []


@pytest.mark.parametrize(
    "oid", [None, "", 7, [OID], OID[:-1], f"{OID}0", "'; DROP TABLE users; --"]
)
def test_without_an_object_id_nobody_is_recognised(service, browser, microsoft, oid):
    odd = {"oid": oid, "xms_edov": True}
    browser.sign_in(microsoft, "microsoft", **odd, sub="1")
    Browser(service).sign_in(microsoft, "microsoft", **odd, sub="2", email="eve@example.com")
    assert count(service, "users") == 2


def test_an_address_recognises_nobody(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    other = {**ANEW, "oid": str(uuid4())}
    answer = Browser(service).sign_in(microsoft, "microsoft", **other)
    browser.failure(answer, "email_in_use", 409)


def test_other_providers_do_not_recognise_by_object_id(service, browser, google):
    tenant = str(uuid4())
    browser.sign_in(google, sub="1", tid=tenant, oid=OID)
    eve = Browser(service)
    eve.sign_in(google, sub="2", tid=tenant, oid=OID, email="eve@example.com")
    assert eve.whoami() == "eve@example.com"
    assert count(service, "users") == 2


def test_the_setting_switches_it_off(make_service, microsoft):
    service = make_service({"combine_auth.microsoft.recognise_by_oid": "false"})
    Browser(service).sign_in(microsoft, "microsoft", **ANN)
    answer = Browser(service).sign_in(microsoft, "microsoft", **ANEW)
    Browser(service).failure(answer, "email_in_use", 409)
    assert subjects(service) == [("ann-of-the-first",)]


def test_two_accounts_with_one_object_id_are_not_guessed_between(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    browser.sign_in(microsoft, "microsoft", sub="2", email="ann2@example.com", xms_edov=True)
    service.execute("UPDATE identities SET object_id = :oid", oid=OID)
    ann = Browser(service)
    ann.sign_in(microsoft, "microsoft", **ANEW, email="ann3@example.com")
    assert ann.whoami() == "ann3@example.com"
    assert audit(service, "identity-subject") == []


def test_a_disabled_user_stays_out(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    service.execute("UPDATE users SET disabled_at = now()")
    answer = Browser(service).sign_in(microsoft, "microsoft", **ANEW)
    browser.failure(answer, "account_disabled", 403)
    # Nothing of a refused sign-in is stored.
    assert subjects(service) == [("ann-of-the-first",)]


def test_confirming_works_with_the_new_subject(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    browser.sign_in(microsoft, "microsoft", {"purpose": "confirm"}, **ANEW)
    assert subjects(service) == [("ann-of-the-second",)]


def test_two_at_once_are_recognised_once(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    browsers = [Browser(service) for _ in range(4)]
    backs = [microsoft.callback_url(one.start("microsoft"), **ANEW) for one in browsers]
    threads = [
        threading.Thread(target=one.come_back, args=(back,))
        for one, back in zip(browsers, backs, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [one.whoami() for one in browsers] == ["ann@example.com"] * 4
    assert count(service, "identities") == 1
    assert audit(service, "identity-subject") == ["ok"]
