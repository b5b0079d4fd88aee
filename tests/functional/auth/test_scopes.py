"""Tests that a token with scopes is limited to these and to the permissions of its user at each use."""

import re
import uuid

import pytest
from sqlalchemy import update

from combine_auth.authentication import CredentialKind, Proof
from combine_auth.tokens.service import create_token
from combine_core.database import session_factory
from combine_core.users import Identity, Membership, Permission, Role, User
from tests.functional.conftest import make_client


@pytest.fixture
def narrow(app):
    """``narrow(person, {"runs:read"})``: a client with a token of this user for these scopes."""

    def narrow(person, scopes):
        with session_factory(app.registry).begin() as session:
            token, _ = create_token(session, person.user_id, "narrow", scopes=scopes)
        return make_client(app, token)

    return narrow


@pytest.fixture
def slug(ada):
    return ada.client.post_json("/api/v1/projects", {"name": "Harbour"}, status=201).json["slug"]


def lacks(answer, scope):
    challenge = answer.headers["WWW-Authenticate"]
    assert re.fullmatch(
        'Bearer realm="combine", error="insufficient_scope", scope="[a-z:]+"', challenge
    )
    assert f'scope="{scope}"' in challenge
    assert answer.content_type == "application/problem+json"
    assert scope in answer.json["detail"]


def test_the_missing_scope_is_named(narrow, ada, slug):
    client = narrow(ada, {"projects:read", "sources:read"})
    path = f"/api/v1/projects/{slug}"
    client.get(path, status=200)
    client.get(f"{path}/sources", status=200)
    lacks(client.get(f"{path}/runs", status=403), "runs:read")
    body = {"name": "x", "text": "y"}
    lacks(client.post_json(f"{path}/sources", body, status=403), "sources:write")
    lacks(client.post_json("/api/v1/projects", {"name": "x"}, status=403), "projects:write")
    # /me needs no scope.
    client.get("/api/v1/me", status=200)


def test_a_scope_gives_no_permission_that_the_user_lacks(
    app, narrow, ada, slug, sign_in, add_member
):
    bob = sign_in("bob@example.com")
    project_id = ada.client.get(f"/api/v1/projects/{slug}").json["id"]
    add_member(project_id, bob.user_id, Role.WRITER)
    client = narrow(bob, set(Permission))
    path = f"/api/v1/projects/{slug}/sources"
    body = {"name": "x", "text": "y"}
    client.post_json(path, body, status=201)
    with session_factory(app.registry).begin() as session:
        session.execute(
            update(Membership).where(Membership.user_id == bob.user_id).values(role=Role.VIEWER)
        )
    # With a lower role and the same token, the role is missing, so the response names no scope.
    answer = client.post_json(path, body, status=403)
    assert "WWW-Authenticate" not in answer.headers
    assert "Your role" in answer.json["detail"]


def test_objects_of_other_projects_get_404(narrow, sign_in, slug):
    eve = sign_in("eve@example.com")
    for scopes in ({"runs:read"}, {"projects:read"}, set(Permission)):
        narrow(eve, scopes).get(f"/api/v1/projects/{slug}", status=404)


def test_the_scope_to_leave_does_not_allow_removing_members(narrow, ada, slug, sign_in, add_member):
    bob = sign_in("bob@example.com")
    project_id = ada.client.get(f"/api/v1/projects/{slug}").json["id"]
    add_member(project_id, bob.user_id, Role.VIEWER)
    client = narrow(ada, {"members:leave"})
    lacks(
        client.delete(f"/api/v1/projects/{slug}/members/{bob.user_id}", status=403),
        "members:write",
    )


def test_a_limited_token_of_an_administrator_gives_no_rights(app, narrow, ada):
    with session_factory(app.registry).begin() as session:
        session.execute(update(User).where(User.id == ada.user_id).values(is_admin=True))
    ada.client.get("/api/v1/audit", status=200)
    narrow(ada, {"audit:read"}).get("/api/v1/audit", status=200)
    lacks(narrow(ada, {"users:read"}).get("/api/v1/audit", status=403), "audit:read")
    narrow(ada, {"projects:read"}).get("/api/v1/audit", status=403)


def test_a_token_without_scopes_has_all_permissions():
    identity = Identity(uuid.uuid4(), "ada@example.com", "Ada", False)
    whole = Proof(identity, CredentialKind.SESSION, uuid.uuid4())
    assert whole.allows_permission(Permission.RUNS_WRITE)
    assert not Proof(identity, CredentialKind.TOKEN, uuid.uuid4(), frozenset()).allows_permission(
        "runs:read"
    )
