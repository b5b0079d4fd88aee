"""Tests that tenant and object id identify users after a new Entra registration changes their subjects."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.functional.auth.sign_in.conftest import Browser, audit, codes_of_callbacks, count

OID = "1f9c4b6e-3a3a-4c7e-9a70-6d0f4be0a111"
# Claims of Microsoft about Ann, with the subject of one registration.
ANN = {"sub": "ann-of-the-first", "oid": OID, "xms_edov": True}
ANEW = {**ANN, "sub": "ann-of-the-second"}


def subjects(service):
    return service.execute("SELECT subject FROM identities ORDER BY id")


def test_a_user_with_a_new_subject_is_recognised(service, browser, microsoft):
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
    # From now on, the new subject identifies her.
    Browser(service).sign_in(microsoft, "microsoft", **ANEW)
    assert audit(service, "identity-subject") == ["ok"]


def test_each_sign_in_stores_tenant_and_object_id(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    # Earlier releases did not store them.
    service.execute("UPDATE identities SET tenant = NULL, object_id = NULL")
    browser.sign_in(microsoft, "microsoft", **ANN)
    assert service.execute("SELECT tenant, object_id FROM identities") == [(microsoft.tenant, OID)]


def test_the_same_object_id_in_another_tenant_is_another_user(service, browser, microsoft):
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
def test_a_missing_object_id_identifies_no_user(service, browser, microsoft, oid):
    odd = {"oid": oid, "xms_edov": True}
    browser.sign_in(microsoft, "microsoft", **odd, sub="1")
    Browser(service).sign_in(microsoft, "microsoft", **odd, sub="2", email="eve@example.com")
    assert count(service, "users") == 2


def test_an_address_identifies_no_user(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    other = {**ANEW, "oid": str(uuid4())}
    answer = Browser(service).sign_in(microsoft, "microsoft", **other)
    browser.failure(answer, "email_in_use", 409)


def test_object_ids_of_other_providers_are_ignored(service, browser, google):
    tenant = str(uuid4())
    browser.sign_in(google, sub="1", tid=tenant, oid=OID)
    eve = Browser(service)
    eve.sign_in(google, sub="2", tid=tenant, oid=OID, email="eve@example.com")
    assert eve.whoami() == "eve@example.com"
    assert count(service, "users") == 2


def test_a_setting_disables_recognition(make_service, microsoft):
    service = make_service({"combine_auth.microsoft.recognise_by_oid": "false"})
    Browser(service).sign_in(microsoft, "microsoft", **ANN)
    answer = Browser(service).sign_in(microsoft, "microsoft", **ANEW)
    Browser(service).failure(answer, "email_in_use", 409)
    assert subjects(service) == [("ann-of-the-first",)]


def test_an_ambiguous_object_id_identifies_no_user(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    browser.sign_in(microsoft, "microsoft", sub="2", email="ann2@example.com", xms_edov=True)
    service.execute("UPDATE identities SET object_id = :oid", oid=OID)
    ann = Browser(service)
    ann.sign_in(microsoft, "microsoft", **ANEW, email="ann3@example.com")
    assert ann.whoami() == "ann3@example.com"
    assert audit(service, "identity-subject") == []


def test_a_disabled_user_is_rejected(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    service.execute("UPDATE users SET disabled_at = now()")
    answer = Browser(service).sign_in(microsoft, "microsoft", **ANEW)
    browser.failure(answer, "account_disabled", 403)
    # A rejected sign-in stores nothing.
    assert subjects(service) == [("ann-of-the-first",)]


def test_confirming_works_with_the_new_subject(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    browser.sign_in(microsoft, "microsoft", {"purpose": "confirm"}, **ANEW)
    assert subjects(service) == [("ann-of-the-second",)]


def test_parallel_sign_ins_update_the_subject_once(service, browser, microsoft):
    browser.sign_in(microsoft, "microsoft", **ANN)
    browsers = [Browser(service) for _ in range(4)]
    backs = [microsoft.callback_url(one.start("microsoft"), **ANEW) for one in browsers]
    assert codes_of_callbacks(browsers, backs) == ["ok"] * 4
    assert [one.whoami() for one in browsers] == ["ann@example.com"] * 4
    assert count(service, "identities") == 1
    assert audit(service, "identity-subject") == ["ok"]
