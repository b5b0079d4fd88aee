"""Tests on every route that users cannot see, count or guess the contents of other users' projects."""

import re
import uuid

import pytest
from sqlalchemy import event, update

from combine_core.database import engine_of, session_factory
from combine_core.users import User
from tests.functional.auth.things import IN_PROJECTS, Things

# Query strings that a page requires.
QUERIES = {
    re.compile("/(changes|comparison)(/markdown)?$"): "?from=1&to=1",
    re.compile("/search$"): "?q=harbour",
    re.compile("/documents/{id}/edit$"): "?statement=/decisions/-",
}


class Unknown(Things):
    """Names of objects that do not exist."""

    def __init__(self):
        self.slug = "no-such-project"
        names = (
            "source",
            "run",
            "call",
            "document",
            "user_id",
            "invitation",
            "review",
            "comment",
            "item",
        )
        self.__dict__.update({name: str(uuid.uuid4()) for name in names})


@pytest.fixture
def bob(sign_in):
    return sign_in("bob@example.com")


@pytest.fixture
def adas(app, ada, run_jobs):
    return Things(app, ada, run_jobs, "Harbour")


@pytest.fixture
def statements(app):
    sent = []

    def note(_connection, _cursor, statement, *_rest):
        sent.append(re.sub(r"/\*.*?\*/ ", "", statement))

    engine = engine_of(app.registry)
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def routes(app):
    """Return the routes into projects, and the methods of their views."""
    found = {}
    introspector = app.registry.introspector
    for entry in introspector.get_category("views"):
        view = entry["introspectable"]
        methods = view["request_methods"] or ()
        methods = (methods,) if isinstance(methods, str) else methods
        found.setdefault(view["route_name"], set()).update(methods)
    return [
        (route.pattern, method)
        for route in app.routes_mapper.get_routes(include_static=True)
        if getattr(route, "factory", None) in IN_PROJECTS
        for method in sorted(found.get(route.name) or {"GET"})
    ]


def ask(client, method, path):
    if method in {"POST", "PUT", "PATCH"} and path.startswith("/api/"):
        return client.request(
            path, method=method, status="*", body=b"{}", content_type="application/json"
        )
    return client.request(path, method=method, status="*")


def shape(answer, path):
    """Return the status, text and headers of a response without the parts that differ for each request."""
    text = answer.text.replace(path, "PATH")
    text = re.sub(r'"request_id": "[^"]*"', "", text)
    text = re.sub(r"<code>[0-9a-f]{16}</code>", "", text)
    headers = {
        k: v for k, v in answer.headers.items() if k not in {"X-Request-ID", "Content-Length"}
    }
    return answer.status_int, text, headers


def test_all_routes_are_covered(app):
    walked = {pattern for pattern, _ in routes(app)}
    endpoints = app.registry.introspector.get_category("combine endpoints")
    in_projects = {
        entry["introspectable"]["path"]
        for entry in endpoints
        if entry["introspectable"]["factory"] in IN_PROJECTS
    }
    assert any(path.startswith("/api/v1/") for path in in_projects)
    assert in_projects <= walked
    assert any(pattern.endswith("/members") and "/api/" not in pattern for pattern in walked)
    for route in app.routes_mapper.get_routes():
        # Other routes with a variable lead to public data or to data of the current user.
        if "{" in route.pattern and route.pattern not in walked:
            assert re.match(
                r"/?(docs|static|health|auth|account|administration|oauth|\.well-known|api/v1/(lines|users|me|tokens))\b",
                route.pattern,
            ), route.pattern


@pytest.mark.parametrize("face", ["api", "pages"])
def test_a_non_member_finds_nothing(app, adas, bob, browser, statements, run_jobs, face):
    Things(app, bob, run_jobs, "Lighthouse")
    client = bob.client if face == "api" else browser(bob)
    # The first use of a token is recorded. Measure the later ones.
    client.get("/api/v1/me", status=200)
    seen = 0
    for pattern, method in routes(app):
        if (face == "api") != pattern.startswith("/api/"):
            continue
        answers = []
        for things in (adas, Unknown()):
            path = things.path(pattern)
            statements.clear()
            answers.append((*shape(ask(client, method, path), path), list(statements)))
        assert answers[0][0] == 404, (method, pattern)
        assert answers[0] == answers[1], (method, pattern)
        seen += 1
    assert seen >= 10


@pytest.mark.parametrize("face", ["api", "pages"])
def test_a_stranger_must_sign_in_and_costs_no_statement(app, adas, testapp, statements, face):
    for pattern, method in routes(app):
        if (face == "api") != pattern.startswith("/api/"):
            continue
        answers = []
        for things in (adas, Unknown()):
            path = things.path(pattern)
            statements.clear()
            answer = ask(testapp, method, path)
            assert statements == []
            if face == "api":
                answers.append(shape(answer, path))
            else:
                answers.append(answer.status_int)
        assert answers[0] == answers[1], (method, pattern)
        assert (answers[0][0] if face == "api" else answers[0]) == (401 if face == "api" else 303)


def test_the_walk_finds_existing_objects(app, adas, ada):
    """A walk with wrong values would find nothing, and pass for the wrong reason."""
    for pattern, method in routes(app):
        if method == "GET":
            query = next((each for form, each in QUERIES.items() if form.search(pattern)), "")
            path = f"{adas.path(pattern)}{query}"
            assert ask(ada.client, "GET", path).status_int == 200, pattern


def test_an_administrator_is_not_a_member(app, adas, bob):
    with session_factory(app.registry).begin() as session:
        session.execute(update(User).where(User.id == bob.user_id).values(is_admin=True))
    for pattern, method in routes(app):
        if pattern.startswith("/api/"):
            assert ask(bob.client, method, adas.path(pattern)).status_int == 404, pattern


def test_lists_show_and_count_only_own_objects(adas, bob):
    assert bob.client.get("/api/v1/projects").json == {"items": [], "next": None}


def test_objects_are_not_found_through_another_project(app, adas, ada, run_jobs):
    other = ada.client.post_json("/api/v1/projects", {"name": "Other"}).json["slug"]
    ada.client.get(f"/api/v1/projects/{other}/sources/{adas.source}", status=404)
    body = {"line": "brief", "sources": [adas.source]}
    ada.client.post_json(f"/api/v1/projects/{other}/runs", body, status=422)
