"""Tests invitation links to a project: their creation, use and expiry."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event, func, select, text, update

from combine_auth.audit import AuditEvent
from combine_auth.clients.service import ClientRegistration, register_client
from combine_auth.tokens.service import create_token
from combine_core.database import engine_of
from combine_core.projects import ProjectInvitation
from combine_core.projects.invitations import (
    MAX_OPEN,
    InvitationEnded,
    accept_invitation,
    create_invitation,
)
from combine_core.users import Membership, Role, RoleChanged, User
from tests.functional.conftest import make_client

ACCEPT = "/api/v1/invitations/accept"


@pytest.fixture
def bob(sign_in):
    return sign_in("bob@example.com")


def invite(room, role="writer", client=None, **body):
    """Return the invitation and its token."""
    body = {"role": role, **body}
    made = (client or room.client).post_json(f"{room.path}/invitations", body, status=201)
    return made.json, made.json["link"].partition("token=")[2]


def accept(person, token, status=200):
    return person.client.post_json(ACCEPT, {"token": token}, status=status)


def change(sessions, **values):
    with sessions.begin() as session:
        session.execute(update(ProjectInvitation).values(**values))


def listed(room):
    return room.client.get(f"{room.path}/invitations").json["items"]


def test_a_link_adds_one_member(room, ada, bob, sign_in, problem):
    made, token = invite(room)
    assert made["state"] == "open"
    assert made["created_by"]["email"] == ada.email
    assert made["link"].startswith("http://localhost:8000/invitation?token=")
    # Opening the link changes nothing.
    bob.client.get(room.path, status=404)
    joined = accept(bob, token).json
    assert joined["role"] == "writer"
    assert joined["project"] == bob.client.get(room.path).json
    assert bob.client.get(f"{room.path}/members/{bob.user_id}", status=200).json["role"] == "writer"
    carol = sign_in("carol@example.com")
    told = problem(accept(carol, token, status=409), 409)
    assert "has been used" in told["detail"]
    carol.client.get(room.path, status=404)
    [used] = listed(room)
    assert (used["state"], used["used_by"]["email"]) == ("used", bob.email)
    # The same user repeats the request, because the first response was lost.
    assert accept(bob, token).json == joined


def test_the_link_is_shown_once_and_stored_as_a_hash(room, sessions):
    made, token = invite(room)
    path = f"{room.path}/invitations/{made['id']}"
    for answer in (room.client.get(path), room.client.get(f"{room.path}/invitations")):
        assert token not in answer
    with sessions() as session:
        [row] = session.execute(text("SELECT project_invitations::text FROM project_invitations"))
        assert token not in row[0]
        assert session.scalars(select(ProjectInvitation)).one().token_sha256 != token.encode()


def test_links_expire_after_1_to_30_days(room, problem):
    def lasts(made):
        return datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(
            made["created_at"]
        )

    for body, days in (({}, 7), ({"days": 1}, 1), ({"days": 30}, 30)):
        assert lasts(invite(room, **body)[0]) == timedelta(days=days)
    for days in (0, 31, -1, 1.5, "7", None):
        body = {"role": "viewer", "days": days}
        problem(room.client.post_json(f"{room.path}/invitations", body, status="*"), 422)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"expires_at": func.now()}, "has expired"),
        ({"revoked_at": func.now()}, "was revoked"),
    ],
)
def test_an_expired_or_used_link_is_rejected(room, bob, sessions, values, why):
    _, token = invite(room)
    change(sessions, **values)
    assert why in accept(bob, token, status=409).json["detail"]
    bob.client.get(room.path, status=404)


def test_an_owner_revokes_a_link(room, bob):
    made, token = invite(room)
    path = f"{room.path}/invitations/{made['id']}"
    etag = room.client.get(path).headers["ETag"]
    room.client.delete(path, headers={"If-Match": '"old"'}, status=412)
    room.client.delete(path, headers={"If-Match": etag}, status=204)
    room.client.delete(path, status=204)
    assert room.client.get(path).json["state"] == "revoked"
    accept(bob, token, status=409)


def test_a_used_link_cannot_be_revoked(room, bob):
    made, token = invite(room)
    accept(bob, token)
    answer = room.client.delete(f"{room.path}/invitations/{made['id']}", status=409)
    assert "has been used" in answer.json["detail"]


@pytest.mark.parametrize("deed", ["leaves", "is demoted", "is disabled"])
def test_the_links_of_a_former_owner_are_revoked(room, bob, sign_in, sessions, deed):
    """A removed owner must not return through an invitation of their own."""
    _, token = invite(room, "owner")
    accept(bob, token)
    _, kept = invite(room, "owner", client=bob.client)
    if deed == "leaves":
        room.client.delete(f"{room.path}/members/{bob.user_id}", status=204)
    elif deed == "is demoted":
        path = f"{room.path}/members/{bob.user_id}"
        room.client.put_json(path, {"role": "reviewer"}, status=200)
    else:
        with sessions.begin() as session:
            gone = update(User).where(User.id == bob.user_id).values(disabled_at=func.now())
            session.execute(gone)
    other = sign_in("other@example.com")
    assert "was revoked" in accept(other, kept, status=409).json["detail"]
    assert [one["state"] for one in listed(room)] == ["revoked", "used"]


def test_a_member_keeps_their_role_and_does_not_use_up_the_link(room, ada, bob, add_member):
    add_member(room.id, bob.user_id, Role.REVIEWER)
    _, token = invite(room, "viewer")
    assert accept(bob, token).json["role"] == "reviewer"
    assert accept(ada, token).json["role"] == "owner"
    assert listed(room)[0]["state"] == "open"


@pytest.mark.parametrize("token", ["a" * 43, "-" * 43])
def test_an_unknown_link_gets_404(bob, problem, token):
    problem(accept(bob, token, status="*"), 404)


@pytest.mark.parametrize(
    "token", ["", "a", "a" * 44, "a" * 42 + "\n", "é" * 43, "a" * 42 + "\0", 1]
)
def test_a_malformed_link_gets_422(bob, problem, token):
    problem(accept(bob, token, status="*"), 422)


def test_a_token_without_the_scope_cannot_accept(app, room, bob, sessions):
    _, token = invite(room)
    with sessions.begin() as session:
        reads, _ = create_token(session, bob.user_id, "reads", scopes=["projects:read"])
    make_client(app, reads).post_json(ACCEPT, {"token": token}, status=403)
    make_client(app).post_json(ACCEPT, {"token": token}, status=401)
    assert listed(room)[0]["state"] == "open"


def test_a_token_for_another_project_cannot_accept(app, room, bob, sessions):
    mine = bob.client.post_json("/api/v1/projects", {"name": "Mine"}).json["slug"]
    _, token = invite(room)
    with sessions.begin() as session:
        elsewhere, _ = create_token(session, bob.user_id, "elsewhere", project=mine)
    make_client(app, elsewhere).post_json(ACCEPT, {"token": token}, status=403)
    assert listed(room)[0]["state"] == "open"


def test_a_client_joins_as_its_own_user(app, room, ada, sessions):
    """See docs/oauth.md: a client has no page to accept on."""
    _, token = invite(room)
    with sessions.begin() as session:
        robot, secret = register_client(
            session,
            ada.user_id,
            ClientRegistration(
                name="Robot", redirect_uris=[], scopes=["projects:write"], service=True
            ),
        )
        client_id = robot.client_id
    fields = {"client_id": client_id, "client_secret": secret}
    answer = make_client(app).post(
        "/oauth/token", {"grant_type": "client_credentials", **fields}, status=200
    )
    program = make_client(app, answer.json["access_token"])
    assert program.post_json(ACCEPT, {"token": token}).json["role"] == "writer"
    [used] = listed(room)
    assert used["used_by"]["email"] == f"client-{client_id}@clients.invalid"


def test_one_of_two_parallel_acceptances_is_rejected(room, sessions, bob, sign_in, wait_for_lock):
    carol = sign_in("carol@example.com")
    _, token = invite(room)
    outcomes = []
    # The first transaction is not committed yet. The second one must wait for it.
    with sessions() as first:
        accept_invitation(first, token, bob.user_id, notify=ignore)

        def second():
            with sessions() as session:
                try:
                    accept_invitation(session, token, carol.user_id, notify=ignore)
                    session.commit()
                    outcomes.append("joined")
                except InvitationEnded as ended:
                    outcomes.append(str(ended))

        thread = threading.Thread(target=second)
        thread.start()
        wait_for_lock()
        assert outcomes == []
        first.commit()
        thread.join(60)
    assert ["has been used" in outcome for outcome in outcomes] == [True]
    with sessions() as session:
        members = session.scalars(select(Membership.user_id)).all()
    assert carol.user_id not in members
    assert bob.user_id in members


def ignore(change):
    """Ignore the events: nothing listens to them in these tests."""


def test_one_of_four_parallel_requests_succeeds(room, sign_in):
    people = [sign_in(f"p{number}@example.com") for number in range(4)]
    _, token = invite(room)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda person: accept(person, token, status="*"), people))
    assert sorted(answer.status_int for answer in answers) == [200, 409, 409, 409]
    assert len(room.client.get(f"{room.path}/members").json["items"]) == 2


def test_the_audit_records_inviter_and_member(room, ada, bob, sessions):
    made, token = invite(room)
    accept(bob, token)
    other, _ = invite(room, "viewer")
    room.client.delete(f"{room.path}/invitations/{other['id']}", status=204)
    wanted = ("project-invite", "member-role", "project-invite-revoke")
    with sessions() as session:
        lines = session.scalars(
            select(AuditEvent).where(AuditEvent.action.in_(wanted)).order_by(AuditEvent.id)
        ).all()
        assert token not in repr([(line.target, line.details) for line in lines])
    assert [(line.action, line.actor_id, line.target) for line in lines] == [
        ("project-invite", ada.user_id, f"invitation:{made['id']}"),
        ("member-role", bob.user_id, f"user:{bob.user_id}"),
        ("project-invite", ada.user_id, f"invitation:{other['id']}"),
        ("project-invite-revoke", ada.user_id, f"invitation:{other['id']}"),
    ]
    assert lines[0].details == {"project": room.id, "role": "writer"}
    assert lines[1].details == {
        "project": room.id,
        "before": None,
        "after": "writer",
        "invitation": made["id"],
    }


def test_add_ons_are_notified_of_new_members(app, room, bob):
    heard = []
    app.registry.registerHandler(heard.append, (RoleChanged,))
    try:
        accept(bob, invite(room, "viewer")[1])
    finally:
        app.registry.unregisterHandler(heard.append, (RoleChanged,))
    assert [(one.before, one.after, one.user_id) for one in heard] == [
        (None, Role.VIEWER, bob.user_id)
    ]


def test_the_number_of_open_links_is_limited(room, ada, sessions):
    with sessions.begin() as session:
        for _ in range(MAX_OPEN):
            create_invitation(session, room.id, ada.user_id, Role.VIEWER, notify=ignore)
    path, body = f"{room.path}/invitations", {"role": "viewer"}
    assert "Revoke one first" in room.client.post_json(path, body, status=409).json["detail"]
    first = room.client.get(path).json["items"][0]
    room.client.delete(f"{path}/{first['id']}", status=204)
    room.client.post_json(path, body, status=201)


def test_old_links_are_deleted(room, sessions):
    old, _ = invite(room)
    change(sessions, expires_at=text("now() - interval '91 days'"))
    new, _ = invite(room)
    assert [one["id"] for one in listed(room)] == [new["id"]]
    assert old["id"] != new["id"]


def test_the_list_works_after_the_user_of_a_link_is_deleted(room, bob, sessions):
    _, token = invite(room)
    accept(bob, token)
    with sessions.begin() as session:
        session.execute(text("DELETE FROM users WHERE id = :id"), {"id": bob.user_id})
    [used] = listed(room)
    assert (used["state"], used["used_by"]) == ("used", None)


def test_the_list_of_links_has_pages_of_constant_cost(app, room):
    for _ in range(5):
        invite(room)
    sent = []

    def note(_connection, _cursor, statement, *_rest):
        sent.append(statement)

    room.client.get("/api/v1/me")
    engine = engine_of(app.registry)
    event.listen(engine, "before_cursor_execute", note)
    seen, counts, path = [], set(), f"{room.path}/invitations?limit=2"
    try:
        while path:
            sent.clear()
            page = room.client.get(path).json
            counts.add(len(sent))
            seen += [one["id"] for one in page["items"]]
            path = page["next"] and f"{room.path}/invitations?limit=2&cursor={page['next']}"
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(set(seen)) == 5
    assert counts == {2}
