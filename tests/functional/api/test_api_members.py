"""Tests members: access, permissions, and the rule that a project keeps an owner."""

import itertools
import threading
import uuid

import pytest
from sqlalchemy import event, select, update

from combine_auth.audit import AuditEvent
from combine_core.database import engine_of, session_factory
from combine_core.projects.members import LastOwner, change_role, remove_member
from combine_core.users import ROLE_PERMISSIONS, Membership, Permission, Role, RoleChanged, User


@pytest.fixture
def bob(sign_in):
    return sign_in("bob@example.com")


@pytest.fixture
def make_member(room, add_member):
    """``make_member(person, "viewer")``: make a user, who has signed in before, a member of the room."""
    return lambda person, role: add_member(room.id, person.user_id, Role(role))


def put(client, room, person, role, **options):
    return client.put_json(f"{room.path}/members/{person.user_id}", {"role": role}, **options)


def roles(room):
    return {m["email"]: m["role"] for m in room.client.get(f"{room.path}/members").json["items"]}


def test_the_creator_of_a_project_owns_it(room):
    assert roles(room) == {"ada@example.com": "owner"}


def test_a_role_is_changed_and_a_member_is_removed(room, bob, make_member):
    bob.client.get(room.path, status=404)
    make_member(bob, "viewer")
    bob.client.get(room.path, status=200)
    assert put(room.client, room, bob, "writer", status=200).json["role"] == "writer"
    path = f"{room.path}/members/{bob.user_id}"
    assert room.client.get(path).json["role"] == "writer"
    assert room.client.delete(path, status=204).body == b""
    bob.client.get(room.path, status=404)
    room.client.delete(path, status=404)
    room.client.get(path, status=404)


def test_a_user_is_only_added_after_accepting(app, room, ada, bob):
    """Neither an owner nor an administrator can add a user."""
    for is_admin in (False, True):
        with session_factory(app.registry).begin() as session:
            change = update(User).where(User.id == ada.user_id).values(is_admin=is_admin)
            session.execute(change)
        put(room.client, room, bob, "viewer", status=404)
        body = {"email": "bob@example.com", "role": "viewer"}
        room.client.post_json(f"{room.path}/members", body, status=405)
    assert roles(room) == {"ada@example.com": "owner"}


def test_an_administrator_has_no_access_to_projects(app, room, sign_in):
    root = sign_in("root@example.com")
    with session_factory(app.registry).begin() as session:
        session.execute(update(User).where(User.id == root.user_id).values(is_admin=True))
    root.client.get(room.path, status=404)


@pytest.fixture
def statements(app):
    sent = []

    def note(_connection, _cursor, statement, *_rest):
        sent.append(statement)

    engine = engine_of(app.registry)
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.WRITER, Role.REVIEWER])
def test_only_owners_change_members(room, bob, sign_in, make_member, role):
    cyd = sign_in("cyd@example.com")
    make_member(bob, role)
    make_member(cyd, "viewer")
    assert len(bob.client.get(f"{room.path}/members", status=200).json["items"]) == 3
    put(bob.client, room, bob, "owner", status=403)
    put(bob.client, room, cyd, "owner", status=403)
    bob.client.delete(f"{room.path}/members/{cyd.user_id}", status=403)
    # The response is the same whether the member exists or not.
    bob.client.delete(f"{room.path}/members/{uuid.uuid4()}", status=403)
    invitations = f"{room.path}/invitations"
    bob.client.post_json(invitations, {"role": "viewer"}, status=403)
    bob.client.get(invitations, status=403)
    # Every member may leave.
    bob.client.delete(f"{room.path}/members/{bob.user_id}", status=204)
    bob.client.get(room.path, status=404)


def test_the_last_owner_cannot_be_removed(room, ada, bob, make_member):
    make_member(bob, "reviewer")
    problem = put(ada.client, room, ada, "viewer", status=409)
    assert "only owner" in problem.json["detail"]
    ada.client.delete(f"{room.path}/members/{ada.user_id}", status=409)
    put(ada.client, room, ada, "owner", status=200)
    put(ada.client, room, bob, "owner", status=200)
    ada.client.delete(f"{room.path}/members/{ada.user_id}", status=204)
    bob.client.delete(f"{room.path}/members/{bob.user_id}", status=409)


@pytest.mark.parametrize("deed", ["demote each other", "leave", "one of each", "oneself twice"])
def test_parallel_removals_leave_one_owner(app, room, ada, bob, make_member, deed, wait_for_lock):
    make_member(bob, "owner")
    project_id = uuid.UUID(room.id)
    deeds = {
        "demote each other": [
            lambda s: change_role(s, project_id, bob.user_id, Role.VIEWER, notify=ignore),
            lambda s: change_role(s, project_id, ada.user_id, Role.VIEWER, notify=ignore),
        ],
        "leave": [
            lambda s: remove_member(s, project_id, ada.user_id, notify=ignore),
            lambda s: remove_member(s, project_id, bob.user_id, notify=ignore),
        ],
        "one of each": [
            lambda s: remove_member(s, project_id, ada.user_id, notify=ignore),
            lambda s: change_role(s, project_id, bob.user_id, Role.WRITER, notify=ignore),
        ],
        "oneself twice": [
            lambda s: change_role(s, project_id, ada.user_id, Role.VIEWER, notify=ignore),
            lambda s: change_role(s, project_id, ada.user_id, Role.WRITER, notify=ignore),
        ],
    }[deed]
    outcomes = []
    sessions = session_factory(app.registry)
    # The first transaction is not committed yet. The second one must wait for it.
    with sessions() as first:
        deeds[0](first)

        def second():
            with sessions() as session:
                started.set()
                try:
                    deeds[1](session)
                    session.commit()
                    outcomes.append("done")
                except LastOwner:
                    outcomes.append("last owner")

        started = threading.Event()
        thread = threading.Thread(target=second)
        thread.start()
        started.wait(60)
        wait_for_lock()
        assert outcomes == []
        first.commit()
        thread.join(60)
    assert outcomes == ["done" if deed == "oneself twice" else "last owner"]
    with sessions() as session:
        owners = session.scalars(
            select(Membership.user_id).where(
                Membership.project_id == project_id, Membership.role == Role.OWNER
            )
        ).all()
    assert len(owners) == 1


def ignore(change):
    """Ignore the events: nothing listens to them in these tests."""


def test_add_ons_are_notified_only_of_changes(app, room, bob, make_member):
    heard = []
    app.registry.registerHandler(heard.append, (RoleChanged,))
    make_member(bob, "viewer")
    try:
        put(room.client, room, bob, "viewer")
        put(room.client, room, bob, "owner")
        room.client.delete(f"{room.path}/members/{bob.user_id}")
    finally:
        app.registry.unregisterHandler(heard.append, (RoleChanged,))
    told = [(change.before, change.after) for change in heard]
    assert told == [(Role.VIEWER, Role.OWNER), (Role.OWNER, None)]
    assert {change.user_id for change in heard} == {bob.user_id}


def test_the_audit_records_each_change(app, room, ada, bob, make_member):
    make_member(bob, "viewer")
    put(room.client, room, bob, "writer")
    room.client.delete(f"{room.path}/members/{ada.user_id}", status=409)
    with session_factory(app.registry)() as session:
        [line] = session.scalars(select(AuditEvent).where(AuditEvent.action == "member-role"))
    assert (line.actor_id, line.target) == (ada.user_id, f"user:{bob.user_id}")
    assert line.details == {"project": room.id, "before": "viewer", "after": "writer"}


def test_each_role_has_the_permissions_of_the_lower_roles():
    rights = [ROLE_PERMISSIONS[role] for role in Role]
    assert all(less < more for less, more in itertools.pairwise(rights))
    assert Permission.DOCUMENTS_REVIEW not in ROLE_PERMISSIONS[Role.WRITER]
    assert Permission.DOCUMENTS_REVIEW in ROLE_PERMISSIONS[Role.REVIEWER]
    assert [Permission.MEMBERS_WRITE in r for r in rights] == [False, False, False, True]


@pytest.mark.parametrize(
    "body", [{}, {"role": "king"}, {"role": "owner", "more": 1}, {"role": None}]
)
def test_an_invalid_role_is_rejected(room, bob, body):
    room.client.put_json(f"{room.path}/members/{bob.user_id}", body, status=422)
    room.client.get(f"{room.path}/members/{str(bob.user_id).upper()}", status=404)
    room.client.get(f"{room.path}/members/me", status=404)


def test_the_list_of_members_has_pages_of_constant_cost(room, sign_in, make_member, statements):
    for number in range(12):
        make_member(sign_in(f"p{number}@example.com"), "viewer")
    room.client.get("/api/v1/me")
    counts = set()
    seen, path = [], f"{room.path}/members?limit=5"
    while path:
        statements.clear()
        page = room.client.get(path).json
        counts.add(len(statements))
        seen += [member["email"] for member in page["items"]]
        path = page["next"] and f"{room.path}/members?limit=5&cursor={page['next']}"
    assert len(seen) == len(set(seen)) == 13
    assert counts == {2}
