"""Tests that every error is a problem document without unnecessary details."""

import logging
import uuid

import psycopg2
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import StaleDataError
from webtest import TestApp

from combine_core.database import engine_of, session_factory
from combine_core.runs import service as runs_service


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/",
        "/api/v1",
        "/api/v2/projects",
        "/api/v1/nothing",
        "/api/v1/projects/",
        "/api/v1/projects/UPPER",
        "/api/v1/projects/a%00b",
        "/api/v1/projects/a%0A",
        "/api/v1/projects%0A",
        "/api/v1/projects/%ff",
        "/api/v1/%ff%fe",
        "/api/v1/projects/" + "a" * 5000,
        "/api/v1/runs/not-an-id",
        "/api/v1/runs/00000000-0000-0000-0000-00000000000G",
        "/api/v1/documents/00000000-0000-0000-0000-000000000000%0A",
        "/api/v1/lines/no_such_line",
        "/api/v1/lines/..%2f..%2fetc",
    ],
)
def test_an_unknown_path_gets_404(signed_in, problem, path):
    body = problem(signed_in.get(path, status="*"), 404)
    assert body["type"] == "about:blank"
    assert "\n" not in body["instance"]


def test_a_request_without_a_token_gets_401(testapp, problem):
    for path in ("/api/v1/projects", "/api/v1/me", f"/api/v1/runs/{uuid.uuid4()}"):
        answer = testapp.get(path, status="*")
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="combine"'


@pytest.mark.parametrize(
    "header", ["Bearer nonsense", "Bearer", "Bearer cmb_pat_" + "0" * 36, "Bearer \xff"]
)
def test_an_invalid_token_gets_401(testapp, problem, header):
    answer = testapp.get("/api/v1/me", headers={"Authorization": header}, status="*")
    problem(answer, 401)
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_other_methods_get_405(signed_in, room, problem):
    answer = signed_in.delete("/api/v1/projects", status="*")
    problem(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD, POST"
    answer = signed_in.get(f"/api/v1/runs/{room.run(room.add())['id']}/cancel", status="*")
    problem(answer, 405)
    assert answer.headers["Allow"] == "POST"
    problem(signed_in.request("/api/v1/projects", method="FROBNICATE", status="*"), 405)


def test_head_works_where_get_does(signed_in, room):
    for path in ("/api/v1/projects", room.path, f"{room.path}/sources"):
        answer = signed_in.head(path, status=200)
        assert answer.body == b""
        assert int(answer.headers["Content-Length"]) == len(signed_in.get(path).body)
    assert signed_in.head("/api/v1/projects/nothing", status=404).body == b""


BAD_PARAMETERS = [
    ("limit=0", "limit"),
    ("limit=201", "limit"),
    ("limit=-1", "limit"),
    ("limit=ten", "limit"),
    ("limit=1e3", "limit"),
    ("limit=", "limit"),
    ("limit=" + "9" * 5000, "limit"),
    ("limit=%D9%A5%00", "limit"),
    ("cursor=Nonsense", "cursor"),
    ("cursor=", "cursor"),
    ("color=red", "color"),
    ("Limit=1", "Limit"),
    ("access_token=cmb_pat_0", "access_token"),
    ("a" * 300 + "=%00", "a" * 100),
    ("cursor=%00", "cursor"),
    ("cursor=" + "A" * 300, "cursor"),
    ("cursor=%E2%82%AC", "cursor"),
]


def test_invalid_parameters_get_400(signed_in, room, document, problem, fields):
    for path in (
        "/api/v1/projects",
        "/api/v1/lines",
        f"{room.path}/sources",
        f"{room.path}/runs",
        f"{room.path}/documents",
        f"/api/v1/documents/{document['id']}/versions",
    ):
        for query, field in BAD_PARAMETERS:
            body = problem(signed_in.get(f"{path}?{query}", status="*"), 400)
            assert fields(body) == [field], (path, query)
            assert len(str(body)) < 1000


@pytest.mark.parametrize("query", ["limit=200", "limit=1", "limit=2&limit=3"])
def test_valid_parameters_are_accepted(signed_in, query):
    signed_in.get(f"/api/v1/projects?{query}", status=200)


def test_an_unknown_parameter_is_named_with_the_known_ones(signed_in, room, problem):
    body = problem(signed_in.get(f"{room.path}/runs?states=failed&limit=1&sort=", status="*"), 400)
    [first, *_] = body["errors"]
    assert first["field"] == "states"
    assert first["message"].startswith("is unknown; allowed: ")
    assert "limit" in first["message"]
    body = problem(signed_in.post_json("/api/v1/projects?name=A", {"name": "B"}, status="*"), 400)
    assert body["errors"] == [{"field": "name", "message": "is unknown"}]
    assert signed_in.get("/api/v1/projects").json["items"][0]["name"] == "Harbour"


def test_a_malformed_request_gets_400(signed_in, problem):
    problem(signed_in.get("/api/v1/projects?cursor=%ff", status="*"), 400)
    for host in ("[", "a b", "exa/mple", "evil.example/?", "a:b:c"):
        problem(signed_in.get("/api/v1/projects", headers={"Host": host}, status="*"), 400)
    gzipped = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    problem(signed_in.post("/api/v1/projects", b"\x1f\x8b", headers=gzipped, status="*"), 415)


def test_a_body_above_the_limit_gets_413(make_app, sign_in, problem):
    client = sign_in(app=make_app({"combine_core.max_request_body_size": "2000"})).client
    body = problem(client.post_json("/api/v1/projects", {"name": "a" * 2000}, status="*"), 413)
    assert "2000 bytes" in body["detail"]
    assert client.get("/api/v1/projects").json["items"] == []
    # The limit does not depend on the sender.
    problem(TestApp(client.app, lint=False).post("/api/v1/nothing", b"a" * 2001, status="*"), 413)


def test_an_unexpected_error_gets_500_without_details(signed_in, problem, monkeypatch, caplog):
    def fail(*_args, **_options):
        message = "password=hunter2"
        raise RuntimeError(message)

    monkeypatch.setattr("combine_core.api.projects.list_projects", fail)
    answer = signed_in.get("/api/v1/projects", status="*")
    problem(answer, 500)
    assert "hunter2" not in answer.text
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.name == "combine_core.web.problems"
    assert record.exc_info[0] is RuntimeError


def test_a_full_queue_gets_503(room, problem, monkeypatch):
    source = room.add()
    monkeypatch.setattr(runs_service, "MAX_LIVE_RUNS", 0)
    body = {"line": "brief", "sources": [source["id"]]}
    answer = room.client.post_json(f"{room.path}/runs", body, status="*")
    assert problem(answer, 503)["type"] == "urn:combine:problem:queue-full"
    assert int(answer.headers["Retry-After"]) > 0
    assert room.client.get(f"{room.path}/runs").json["items"] == []


def test_an_unreachable_database_gets_503(
    make_app, make_database, postgres_url, sign_in, problem, caplog
):
    url = make_database()
    app = make_app(database_url=url)
    client = sign_in(app=app).client
    client.get("/api/v1/projects", status=200)
    name = url.rpartition("/")[2]
    connection = psycopg2.connect(postgres_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    connection.close()
    for answer in (
        client.get("/api/v1/projects", status="*"),
        client.post_json("/api/v1/projects", {"name": "a"}, status="*"),
    ):
        assert problem(answer, 503)["type"] == "urn:combine:problem:database-away"
        assert answer.json["cause"] == "DB_MISSING"
        assert int(answer.headers["Retry-After"]) > 0
        assert name not in answer.text
    password = url.split(":")[2].partition("@")[0]
    assert password not in caplog.text
    assert "DB_MISSING (OperationalError). Remedy: 2. Check DATABASE_URL format." in caplog.text


def test_an_exhausted_pool_gets_503(make_app, sign_in, problem, monkeypatch):
    settings = {"combine_core.db_pool_size": "1", "combine_core.db_max_overflow": "0"}
    app = make_app(settings)
    client = sign_in(app=app).client
    engine = engine_of(app.registry)
    monkeypatch.setattr(engine.pool, "_timeout", 0.05)
    with engine.connect():
        found = problem(client.get("/api/v1/projects", status="*"), 503)
    assert found["cause"] == "DB_POOL_EXHAUSTED"
    client.get("/api/v1/projects", status=200)


def test_a_database_failure_at_commit_gets_503(app, signed_in, problem, postgres_url):
    """Only the outermost tween catches this error."""
    killed = []

    def kill(session):
        pid = session.connection().connection.driver_connection.get_backend_pid()
        admin = psycopg2.connect(postgres_url)
        with admin, admin.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        admin.close()
        killed.append(pid)

    sessions = session_factory(app.registry)
    event.listen(sessions, "before_commit", kill)
    try:
        answer = signed_in.post_json("/api/v1/projects", {"name": "a"}, status="*")
    finally:
        event.remove(sessions, "before_commit", kill)
    problem(answer, 503)
    assert killed
    assert signed_in.get("/api/v1/projects").json["items"] == []


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("UPDATE", None, psycopg2.errors.SerializationFailure()),
        StaleDataError("UPDATE statement expected to update 1 row(s); 0 were matched."),
    ],
)
def test_a_conflict_is_retried_and_not_logged(signed_in, monkeypatch, caplog, error):
    from combine_core.api import projects

    attempts = []
    create = projects.create_project

    def fail_first(*args):
        attempts.append(args)
        if len(attempts) == 1:
            raise error
        return create(*args)

    monkeypatch.setattr(projects, "create_project", fail_first)
    signed_in.post_json("/api/v1/projects", {"name": "a"}, status=201)
    assert [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []
    assert len(attempts) == 2
    assert len(signed_in.get("/api/v1/projects").json["items"]) == 1


def test_the_service_starts_without_combine_auth(database_url, problem):
    """The ini file does not include ``combine_auth``."""
    from combine_core.app import main

    app = main(
        {},
        **{
            "pyramid.includes": "combine_core",
            "combine_core.environment": "test",
            "combine_core.database_url": database_url,
        },
    )
    client = TestApp(app, lint=False)
    problem(client.get("/api/v1/projects", status="*"), 401)
    problem(client.post_json("/api/v1/projects", {"name": "a"}, status="*"), 401)
    client.get("/docs", status=200)
    client.get("/api/v1/openapi.yaml", status=200)
    engine_of(app.registry).dispose()
