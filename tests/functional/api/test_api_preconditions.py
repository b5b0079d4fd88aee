"""Tests the preconditions that prevent lost updates and duplicate requests."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from combine_core.users import Role

WRITER, VIEWER = {"role": "writer"}, {"role": "viewer"}


@pytest.fixture
def member(room, sign_in, add_member):
    """The path of the member bob, who is a reviewer."""
    bob = sign_in("bob@example.com")
    add_member(room.id, bob.user_id, Role.REVIEWER)
    return f"{room.path}/members/{bob.user_id}"


def if_match(etag):
    return {"If-Match": etag}


def test_a_current_etag_gets_304(room, document):
    for path in (
        "/api/v1/me",
        "/api/v1/projects",
        room.path,
        f"{room.path}/sources",
        f"/api/v1/documents/{document['id']}",
        f"/api/v1/documents/{document['id']}?format=md",
        f"/api/v1/runs/{document['run_id']}",
        "/api/v1/lines/brief",
    ):
        etag = room.client.get(path, status=200).headers["ETag"]
        for known in (etag, f'"old", {etag}', f"W/{etag}"):
            for method in ("GET", "HEAD"):
                asked = {"If-None-Match": known}
                answer = room.client.request(path, method=method, headers=asked, status=304)
                assert (answer.body, answer.headers["ETag"]) == (b"", etag)
        answer = room.client.get(path, headers={"If-None-Match": '"old"'}, status=200)
        assert answer.headers["ETag"] == etag


def test_a_change_returns_a_new_etag(room, member):
    before = room.client.get(member).headers["ETag"]
    changed = room.client.put_json(member, WRITER, headers=if_match(before), status=200)
    assert changed.headers["ETag"] != before
    assert changed.headers["ETag"] == room.client.get(member).headers["ETag"]


def test_an_old_etag_is_rejected(room, member, problem):
    before = room.client.get(member).headers["ETag"]
    room.client.put_json(member, WRITER, status=200)
    for headers in (
        if_match(before),
        if_match('"nonsense"'),
        if_match("x"),
        if_match("W/" + before),
    ):
        answer = room.client.put_json(member, VIEWER, headers=headers, status="*")
        assert "Read it again" in problem(answer, 412)["detail"]
        problem(room.client.delete(member, headers=headers, status="*"), 412)
    assert room.client.get(member).json["role"] == "writer"
    room.client.put_json(member, VIEWER, headers=if_match("*"), status=200)
    now = room.client.get(member).headers["ETag"]
    room.client.delete(member, headers=if_match(f'"other", {now}'), status=204)


def test_a_missing_object_gets_404_despite_if_match(room, sign_in, problem):
    carol = sign_in("carol@example.com")
    for user_id in (carol.user_id, uuid.uuid4()):
        path = f"{room.path}/members/{user_id}"
        problem(room.client.put_json(path, WRITER, headers=if_match("*"), status="*"), 404)
        problem(room.client.delete(path, headers=if_match("*"), status="*"), 404)


def test_one_of_two_parallel_changes_succeeds(room, member):
    etag = room.client.get(member).headers["ETag"]

    def put(role):
        body = {"role": role}
        return room.client.put_json(member, body, headers=if_match(etag), status="*").status_int

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(put, ["viewer", "writer", "viewer", "writer"]))
    assert statuses == [200, 412, 412, 412]


def test_cancelling_a_run_needs_the_current_etag(room, problem):
    run = room.run(room.add())
    path = f"/api/v1/runs/{run['id']}"
    etag = room.client.get(path).headers["ETag"]
    answer = room.client.post(f"{path}/cancel", headers=if_match('"old"'), status="*")
    problem(answer, 412)
    cancelled = room.client.post(f"{path}/cancel", headers=if_match(etag), status=200)
    assert cancelled.json["state"] == "cancelled"
    assert cancelled.headers["ETag"] == room.client.get(path).headers["ETag"]
    problem(room.client.post(f"{path}/cancel", headers=if_match(etag), status="*"), 412)
