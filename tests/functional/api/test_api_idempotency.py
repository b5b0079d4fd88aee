"""Tests that a POST with an idempotency key takes effect once, even if it is repeated."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, update

from combine_core.database import session_factory
from combine_core.projects import Project
from combine_core.users import Role
from combine_core.web.idempotency import IdempotencyKey

PROJECTS = "/api/v1/projects"


def keyed(key="one"):
    return {"Idempotency-Key": key}


def post(client, path, body, *, key="one", status=201):
    return client.post_json(path, body, headers=keyed(key), status=status)


def test_a_repeated_request_gets_the_same_response_and_changes_nothing(signed_in):
    first = post(signed_in, PROJECTS, {"name": "Harbour"})
    assert "Idempotent-Replayed" not in first.headers
    again = post(signed_in, PROJECTS, {"name": "Harbour"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.body, again.content_type) == (first.body, first.content_type)
    assert again.headers["Location"] == first.headers["Location"]
    assert len(signed_in.get(PROJECTS).json["items"]) == 1
    post(signed_in, PROJECTS, {"name": "Harbour"}, key="two")
    assert len(signed_in.get(PROJECTS).json["items"]) == 2


def test_every_post_accepts_a_key(room, sign_in):
    """Test it as a client: the description names the header, and a second POST changes nothing."""
    bob = sign_in("bob@example.com")
    source = post(room.client, f"{room.path}/sources", {"name": "a.md", "text": "A.\n"}, key="s")
    wanted = {"line": "brief", "sources": [source.json["id"]]}
    run = post(room.client, f"{room.path}/runs", wanted, key="r")
    invitations = f"{room.path}/invitations"
    made = post(room.client, invitations, {"role": "viewer"}, key="i")
    token = {"token": made.json["link"].partition("token=")[2]}
    joined = post(bob.client, "/api/v1/invitations/accept", token, key="a", status=200)
    cancel = f"/api/v1/runs/{run.json['id']}/cancel"
    cancelled = room.client.post(cancel, headers=keyed("c"), status=200)

    sources = f"{room.path}/sources"
    again = post(room.client, sources, {"name": "a.md", "text": "A.\n"}, key="s")
    assert again.body == source.body
    assert post(room.client, f"{room.path}/runs", wanted, key="r").body == run.body
    secret = post(room.client, invitations, {"role": "viewer"}, key="i", status=409)
    assert secret.headers["Location"] == made.headers["Location"]
    assert len(room.client.get(invitations).json["items"]) == 1
    again = post(bob.client, "/api/v1/invitations/accept", token, key="a", status=200)
    assert again.body == joined.body
    assert room.client.post(cancel, headers=keyed("c"), status=200).body == cancelled.body
    assert len(room.client.get(sources).json["items"]) == 1
    assert len(room.client.get(f"{room.path}/runs").json["items"]) == 1


def test_a_form_is_the_same_with_another_boundary(room):
    def send(boundary, text):
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.md"'
            f"\r\n\r\n{text}\r\n--{boundary}--\r\n"
        )
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", **keyed()}
        return room.client.post(f"{room.path}/sources", body.encode(), headers=headers, status="*")

    first = send("b1", "One.")
    assert first.status_int == 201
    assert send("b3", "One.").json["id"] == first.json["id"]
    assert send("b1", "Two.").status_int == 422


def test_the_key_of_another_request_is_rejected(signed_in, room, problem, fields):
    post(signed_in, PROJECTS, {"name": "Pier"})
    for path, body in (
        (PROJECTS, {"name": "Quay"}),
        (f"{room.path}/sources", {"name": "Pier", "text": "a"}),
    ):
        refused = problem(post(signed_in, path, body, status="*"), 422)
        assert fields(refused) == ["Idempotency-Key"]
        assert "Choose a new key" in refused["errors"][0]["message"]


def test_keys_belong_to_users(sign_in):
    ada, bob = sign_in(), sign_in("bob@example.com")
    post(ada.client, PROJECTS, {"name": "Hers"})
    assert post(bob.client, PROJECTS, {"name": "His"}).json["name"] == "His"


def test_a_stored_response_is_hidden_after_the_permission_is_lost(room, sign_in, add_member):
    bob = sign_in("bob@example.com")
    add_member(room.id, bob.user_id, Role.WRITER)
    path, body = f"{room.path}/sources", {"name": "a.md", "text": "A.\n"}
    post(bob.client, path, body)
    room.client.delete(f"{room.path}/members/{bob.user_id}", status=204)
    post(bob.client, path, body, status=404)


def test_errors_are_not_stored(room):
    path = f"{room.path}/runs"
    wanted = {"line": "brief", "sources": ["0199c2a2-10aa-7d21-b0f3-5c7b9d3e4f50"]}
    post(room.client, path, wanted, status=422)
    post(room.client, path, {"line": "brief", "sources": [room.add()["id"]]}, status=201)


@pytest.mark.parametrize("key", ["", "a" * 256, "a b", "a\x7f", "caf\xe9", "\t"])
def test_invalid_keys_are_rejected(signed_in, problem, fields, key):
    body = problem(post(signed_in, PROJECTS, {"name": "A"}, key=key, status="*"), 400)
    assert fields(body) == ["Idempotency-Key"]


def test_keys_at_the_limits_are_accepted(signed_in):
    for key in ("a" * 255, '"5f0c7b1e-2d3a"', "!", "~", "');--"):
        post(signed_in, PROJECTS, {"name": "A"}, key=key)


def test_other_methods_ignore_the_key(signed_in):
    for _ in range(2):
        assert "Idempotent-Replayed" not in signed_in.get(PROJECTS, headers=keyed("x")).headers


def test_keys_are_kept_for_a_day(app, signed_in):
    post(signed_in, PROJECTS, {"name": "A"}, key="old")
    post(signed_in, PROJECTS, {"name": "A"}, key="older")
    with session_factory(app.registry).begin() as session:
        age = func.now() - func.make_interval(0, 0, 0, 0, 24, 0, 1)
        session.execute(update(IdempotencyKey).values(created_at=age))
    assert post(signed_in, PROJECTS, {"name": "B"}, key="old").json["name"] == "B"
    with session_factory(app.registry)() as session:
        assert session.scalars(select(IdempotencyKey.key)).all() == ["old"]


def test_keys_are_deleted_with_their_user_and_project(room, app):
    post(room.client, f"{room.path}/sources", {"name": "a.md", "text": "A.\n"})
    with session_factory(app.registry)() as session:
        kept = session.scalars(select(IdempotencyKey)).one()
        assert str(kept.project_id) == room.id
        session.delete(session.get(Project, kept.project_id))
        session.execute(Project.__table__.delete().where(Project.id == room.id))
        assert session.scalars(select(IdempotencyKey.key)).all() == []


def test_parallel_requests_with_one_key_take_effect_once(app, signed_in, problem):
    def send(_number):
        return post(signed_in, PROJECTS, {"name": "Harbour"}, status="*")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(8)))
    ids = {answer.json["id"] for answer in answers if answer.status_int == 201}
    assert len(ids) == 1
    for answer in answers:
        if answer.status_int != 201:
            assert "Send the request again" in problem(answer, 409)["detail"]
            assert answer.headers["Retry-After"] == "1"
    assert len(signed_in.get(PROJECTS).json["items"]) == 1


SHIPS = """
openapi: 3.0.3
info: {title: Ships, version: "1"}
paths:
  /ships:
    post:
      operationId: addShip
      tags: [me]
      summary: Add a ship
      responses:
        "201":
          description: The ship.
          content: {application/json: {schema: {type: object}}}
        default: {$ref: "#/components/responses/Other"}
"""
MODULE = """
from combine_core.access import SignedIn
from combine_core.web.endpoints import View

def add(context, request):
    request.response.status_int = 201
    request.response.location = "/api/v1/ships/7"
    return {"secret": "c4n4ry"}

def includeme(config):
    config.add_api_spec("%s")
    view = View("POST", add, "projects:write", answer_is_secret=True)
    config.add_endpoint("ships", "/ships", view, factory=SignedIn, openapi=True)
"""


def test_a_response_with_a_secret_is_not_stored(make_app, sign_in, problem, tmp_path, monkeypatch):
    (tmp_path / "ships.yaml").write_text(SHIPS)
    (tmp_path / "keyed_ships.py").write_text(MODULE % (tmp_path / "ships.yaml"))
    monkeypatch.syspath_prepend(str(tmp_path))
    app = make_app({"pyramid.includes": "combine_core combine_auth keyed_ships"})
    client = sign_in(app=app).client
    assert post(client, "/api/v1/ships", {}).json == {"secret": "c4n4ry"}
    answer = post(client, "/api/v1/ships", {}, status="*")
    assert "/api/v1/ships/7" in problem(answer, 409)["detail"]
    assert answer.headers["Location"].endswith("/api/v1/ships/7")
    with session_factory(app.registry)() as session:
        kept = session.scalars(select(IdempotencyKey)).one()
        assert kept.body is None
        assert "c4n4ry" not in json.dumps(kept.headers)
    # The length of the key is limited even if the description does not name the header.
    post(client, "/api/v1/ships", {}, key="a" * 256, status=400)
