"""Tests projects, their members, and their visibility to other users."""

import uuid

import pytest

from combine_auth.security import SecurityPolicy
from combine_core.users import Identity, Role


def test_a_project_is_created(signed_in):
    answer = signed_in.post_json("/api/v1/projects", {"name": "  Häfen & Docks "}, status=201)
    project = answer.json
    assert (project["slug"], project["name"]) == ("hafen-docks", "Häfen & Docks")
    assert uuid.UUID(project["id"]).version == 7
    assert project["created_at"].endswith("Z")
    assert answer.headers["Location"].endswith("/api/v1/projects/hafen-docks")
    assert signed_in.get(answer.headers["Location"]).json == project


def test_equal_names_get_different_slugs(signed_in):
    slugs = {
        signed_in.post_json("/api/v1/projects", {"name": name}).json["slug"]
        for name in ("Harbour", "harbour", "HARBOUR!", "港", "🛳")
    }
    assert len(slugs) == 5


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("", 422),
        ("   ", 422),
        ("a\nb", 422),
        ("a\x00b", 422),
        ("\x7f", 422),
        ("\u200b", 422),
        ("a" * 201, 422),
        ("a" * 200, 201),
        ("\ud800", 422),
        (None, 422),
        (True, 422),
        (1, 422),
        (["a"], 422),
        ({"a": 1}, 422),
    ],
)
def test_names_are_validated(signed_in, problem, fields, name, status):
    answer = signed_in.post_json("/api/v1/projects", {"name": name}, status="*")
    if status == 201:
        assert answer.status_int == 201
        return
    assert fields(problem(answer, status)) == ["name"]
    assert signed_in.get("/api/v1/projects").json["items"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"name=a", 400),
        (b'{"name": "a"', 400),
        (b'{"name": "a"}}', 400),
        (b"{'name': 'a'}", 400),
        (b'\xef\xbb\xbf{"name": "a"}', 400),
        (b'{"name": "\xff"}', 400),
        ('{"name": "a"}'.encode("utf-16"), 400),
        (b'{"name": "a\x00b"}', 400),
        (b'{"name": "a", "name": "b"}', 422),
        (b'{"name": NaN}', 422),
        (b'{"name": -Infinity}', 422),
        (b'{"name": 1e400}', 422),
        (b'{"name": ' + b"9" * 5000 + b"}", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'"name"', 422),
        (b"7", 422),
        (b"{}", 422),
        (b'{"name": "a", "extra": 1}', 422),
        (b'{"name": "a", "\\ud800": 1}', 422),
        (b"[" * 100_000, 400),
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"name": ' + b"[" * 900 + b"]" * 900 + b"}", 422),
        (b'{"name": "a", "x": ' + b'{"x":' * 900 + b"1" + b"}" * 900 + b"}", 422),
    ],
)
def test_an_invalid_body_is_rejected(signed_in, problem, body, status):
    answer = signed_in.post(
        "/api/v1/projects", body, headers={"Content-Type": "application/json"}, status="*"
    )
    told = problem(answer, status)
    assert len(str(told)) < 2000
    assert signed_in.get("/api/v1/projects").json["items"] == []


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/xml",
        "multipart/form-data; boundary=x",
        "nonsense",
        "",
        "application/json+x",
        "*/*",
    ],
)
def test_other_media_types_are_rejected(signed_in, problem, media_type):
    answer = signed_in.post(
        "/api/v1/projects", b'{"name": "a"}', headers={"Content-Type": media_type}, status="*"
    )
    assert "application/json" in problem(answer, 415)["detail"]


def test_a_media_type_may_have_parameters(signed_in):
    for media_type in ("application/json; charset=utf-8", "Application/JSON"):
        signed_in.post(
            "/api/v1/projects", b'{"name": "a"}', headers={"Content-Type": media_type}, status=201
        )


def test_projects_come_in_pages(signed_in):
    names = [f"Project {number}" for number in range(7)]
    for name in names:
        signed_in.post_json("/api/v1/projects", {"name": name}, status=201)
    seen, cursor = [], None
    while True:
        query = "" if cursor is None else f"&cursor={cursor}"
        page = signed_in.get(f"/api/v1/projects?limit=3{query}").json
        seen += [project["name"] for project in page["items"]]
        # Projects that are created in the meantime do not move the next page.
        signed_in.post_json("/api/v1/projects", {"name": "Later"}, status=201)
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == names[::-1]


def test_a_full_last_page_has_no_next_page(signed_in):
    for number in range(3):
        signed_in.post_json("/api/v1/projects", {"name": f"{number}"}, status=201)
    assert signed_in.get("/api/v1/projects?limit=3").json["next"] is None


def test_projects_of_others_get_404(sign_in, make_room, run_jobs, problem):
    """The response is the same 404, whether the project exists or not."""
    ada, eve = sign_in("ada@example.com"), sign_in("eve@example.com")
    room = make_room(ada.client)
    source = room.add()
    run = room.run(source)
    run_jobs()
    [written] = ada.client.get(f"/api/v1/runs/{run['id']}").json["documents"]
    nobody = uuid.uuid4()
    for theirs, absent in [
        (room.path, "/api/v1/projects/absent"),
        (f"{room.path}/sources", "/api/v1/projects/absent/sources"),
        (f"{room.path}/sources/{source['id']}", f"/api/v1/projects/absent/sources/{nobody}"),
        (f"{room.path}/runs", "/api/v1/projects/absent/runs"),
        (f"{room.path}/documents", "/api/v1/projects/absent/documents"),
        (f"/api/v1/runs/{run['id']}", f"/api/v1/runs/{nobody}"),
        (f"/api/v1/documents/{written['id']}", f"/api/v1/documents/{nobody}"),
        (f"/api/v1/documents/{written['id']}/versions", f"/api/v1/documents/{nobody}/versions"),
        (f"/api/v1/documents/{written['id']}/versions/1", f"/api/v1/documents/{nobody}/versions/1"),
    ]:
        ada.client.get(theirs, status=200)
        found, missing = (
            problem(eve.client.get(path, status="*"), 404) for path in (theirs, absent)
        )
        for body in (found, missing):
            del body["instance"], body["request_id"]
        assert found == missing
    assert eve.client.get("/api/v1/projects").json["items"] == []
    for path in (f"{room.path}/sources", f"{room.path}/runs", f"/api/v1/runs/{run['id']}/cancel"):
        problem(eve.client.post_json(path, {}, status="*"), 404)


def test_a_source_of_another_project_gets_404(signed_in, make_room, problem):
    here, there = make_room(signed_in, "Here"), make_room(signed_in, "There")
    source = there.add()
    problem(signed_in.get(f"{here.path}/sources/{source['id']}", status="*"), 404)


def test_a_viewer_reads_and_a_writer_writes(sign_in, make_room, add_member, problem):
    ada, vic, wim = (sign_in(f"{name}@example.com") for name in ("ada", "vic", "wim"))
    room = make_room(ada.client)
    source = room.add()
    run = room.run(source)
    add_member(room.id, vic.user_id, Role.VIEWER)
    add_member(room.id, wim.user_id, Role.WRITER)
    text = {"name": "a.md", "text": "a"}
    order = {"line": "brief", "sources": [source["id"]]}
    for path in ("", "/sources", "/runs", "/documents", f"/sources/{source['id']}"):
        vic.client.get(room.path + path, status=200)
    for path, body in [
        (f"{room.path}/sources", text),
        (f"{room.path}/runs", order),
        (f"/api/v1/runs/{run['id']}/cancel", {}),
    ]:
        problem(vic.client.post_json(path, body, status="*"), 403)
    wim.client.post_json(f"{room.path}/sources", text, status=201)
    wim.client.post_json(f"{room.path}/runs", order, status=201)
    assert len(vic.client.get(f"{room.path}/sources").json["items"]) == 2


def test_me_shows_the_current_user(sign_in):
    ada = sign_in("ada@example.com")
    assert ada.client.get("/api/v1/me").json == {
        "id": str(ada.user_id),
        "email": "ada@example.com",
        "name": "ada",
        "is_admin": False,
    }


def test_a_security_policy_may_return_only_the_user(room, count, monkeypatch):
    me = room.client.get("/api/v1/me").json
    with count() as together:
        room.client.get(room.path, status=200)
    ada = Identity(uuid.UUID(me["id"]), me["email"], me["name"], me["is_admin"])
    monkeypatch.setattr(SecurityPolicy, "identity", lambda _self, _request: ada)
    with count() as apart:
        assert room.client.get(room.path, status=200).json["slug"] == room.slug
    assert len(apart) == len(together) + 1
    room.client.get("/api/v1/projects/nobodys", status=404)
