"""Fixtures for a project of ada@example.com and its objects."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event
from webtest import TestApp

from combine_core.database import engine_of
from combine_core.users import Role

NOTES = """# Harbour

The harbour opens on 1 May 2027.
We decided to hire two pilots.
The budget is 40,000 euros.
Who pays for the tugs?
Next step: Ada asks the council by Friday.
"""


@dataclass(frozen=True)
class Room:
    """A project, as a member sees it."""

    client: TestApp
    slug: str
    id: str
    path: str

    def add(self, name: str = "notes.md", text: str = NOTES) -> dict[str, Any]:
        body = {"name": name, "text": text}
        return self.client.post_json(f"{self.path}/sources", body, status=201).json

    def run(
        self, *sources: dict[str, Any], line: str = "brief", model: str = "extract"
    ) -> dict[str, Any]:
        body = {"line": line, "sources": [source["id"] for source in sources], "model": model}
        return self.client.post_json(f"{self.path}/runs", body, status=201).json


@pytest.fixture
def make_room():
    def make(client: TestApp, name: str = "Harbour") -> Room:
        made = client.post_json("/api/v1/projects", {"name": name}, status=201).json
        return Room(client, made["slug"], made["id"], f"/api/v1/projects/{made['slug']}")

    return make


@pytest.fixture
def room(make_room, signed_in) -> Room:
    return make_room(signed_in)


@pytest.fixture
def join(room, sign_in, add_member):
    """``join("bob", Role.WRITER)``: bob@example.com, as a member of the room."""

    def join(name: str, role: Role):
        person = sign_in(f"{name}@example.com")
        add_member(room.id, person.user_id, role)
        return person

    return join


@pytest.fixture
def document(room, run_jobs) -> dict[str, Any]:
    """A brief, as ``GET documents/{id}`` returns it."""
    run = room.run(room.add())
    run_jobs()
    [written] = room.client.get(f"/api/v1/runs/{run['id']}").json["documents"]
    return room.client.get(f"/api/v1/documents/{written['id']}").json


@pytest.fixture
def problem():
    """``problem(answer, 404)``: the problem document of the response, after a check of its form."""

    def check(answer: Any, status: int) -> dict[str, Any]:
        assert (answer.status_int, answer.content_type) == (status, "application/problem+json")
        body = answer.json
        assert set(body) - {"errors", "cause"} == {
            "type",
            "title",
            "status",
            "detail",
            "instance",
            "request_id",
        }
        assert body["status"] == status
        assert body["request_id"] == answer.headers["X-Request-ID"]
        assert body["detail"]
        return body

    return check


@pytest.fixture
def fields():
    """``fields(problem)``: the names of the wrong fields."""
    return lambda body: [error["field"] for error in body.get("errors", [])]


@pytest.fixture
def count(app):
    """``with count() as statements:`` records the SQL statements of the block."""

    @contextmanager
    def counting():
        statements: list[str] = []

        def note(_connection, _cursor, statement, *_rest):
            statements.append(statement)

        engine = engine_of(app.registry)
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield statements
        finally:
            event.remove(engine, "before_cursor_execute", note)

    return counting
