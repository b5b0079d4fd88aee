"""Tests that old sessions and tokens neither gain nor keep administrator rights after a change."""

from __future__ import annotations

import pytest

from combine_auth.administration.service import follow_admin_subjects, set_administrator
from combine_auth.tokens.service import create_token
from combine_core.users import User
from tests.functional.auth.sign_in.conftest import SUBJECT, Browser, audit


def admin_of(service, token):
    headers = {"Authorization": f"Bearer {token}"}
    return service.client().get("/whoami", headers=headers).json.get("admin")


def token_of(service, user, scopes=None):
    with service.session() as session:
        return create_token(session, user.id, "from before", scopes=scopes)[0]


@pytest.mark.parametrize("setting", ["", "ADMIN_SUBJECTS"])
def test_older_sessions_and_tokens_do_not_get_administrator_rights(service, setting):
    user = service.user()
    cookie = service.cookie(user)
    unlimited, plain = token_of(service, user), token_of(service, user, ["projects:read"])
    # An earlier release let every user choose these scopes.
    forged = token_of(service, user, ["projects:write"])
    service.execute(
        "UPDATE personal_access_tokens SET scopes = '{projects:write,users:write}'"
        " WHERE scopes = '{projects:write}'"
    )
    with service.session() as session:
        set_administrator(session, session.get(User, user.id), True, setting=setting)
    assert (
        service.client()
        .get("/whoami", headers={"Cookie": f"combine_session={cookie}"})
        .json["email"]
        is None
    )
    assert admin_of(service, unlimited) is False
    assert admin_of(service, plain) is False
    assert admin_of(service, forged) is None
    assert admin_of(service, token_of(service, user)) is True
    with service.session() as session:
        set_administrator(session, session.get(User, user.id), False)
    assert audit(service, "admin-grant") == ["ok"]
    assert audit(service, "admin-revoke") == ["ok"]


def test_a_subject_removed_from_the_setting_loses_the_rights(make_service, google):
    subject = f"{google.issuer}|{SUBJECT}"
    service = make_service({"combine_auth.admin_subjects": subject})
    browser = Browser(service)
    browser.sign_in(google)
    assert browser.client.get("/whoami").json["admin"] is True
    with service.session() as session:
        follow_admin_subjects(session, [subject, "https://other.example|1"])
    assert browser.client.get("/whoami").json["admin"] is True
    with service.session() as session:
        follow_admin_subjects(session, [])
    assert browser.whoami() is None
    assert service.execute("SELECT is_admin, admin_by_setting FROM users") == [(False, False)]


def test_rights_granted_by_an_operator_stay(make_service, google):
    service = make_service({"combine_auth.admin_subjects": f"{google.issuer}|{SUBJECT}"})
    Browser(service).sign_in(google)
    with service.session() as session:
        [user] = session.query(User).all()
        set_administrator(session, user, True)
        follow_admin_subjects(session, [])
    assert service.execute("SELECT is_admin FROM users") == [(True,)]


def test_unlinking_the_named_identity_removes_the_rights(make_service, google, microsoft):
    subject = f"{google.issuer}|{SUBJECT}"
    service = make_service({"combine_auth.admin_subjects": subject})
    browser = Browser(service)
    browser.sign_in(google)
    browser.sign_in(microsoft, "microsoft", {"purpose": "link"})
    [(identity,)] = service.execute("SELECT id FROM identities WHERE provider = 'google'")
    browser.post(f"/account/identities/{identity}/remove", status=303)
    assert browser.whoami() is None
    assert service.execute("SELECT is_admin FROM users") == [(False,)]
