"""Which answer an exception becomes."""

import psycopg2
import pytest
from procrastinate.exceptions import ConnectorException
from pyramid.exceptions import BadCSRFToken
from pyramid.httpexceptions import (
    HTTPBadRequest,
    HTTPForbidden,
    HTTPFound,
    HTTPMethodNotAllowed,
    HTTPNotFound,
)
from sqlalchemy import exc

from combine_core.database import InvalidCursor
from combine_core.lines import UnknownLine
from combine_core.llm import UnknownModel
from combine_core.runs import InvalidRun, QueueFull
from combine_core.sources import UnsupportedFile
from combine_core.text import InvalidText, TextTooLarge
from combine_core.web.problems import ProblemError, problem_of

SECRET = "postgresql://combine:hunter2@db/combine"


def database_error(kind, original=None, *, invalidated=False):
    original = original if original is not None else psycopg2.OperationalError(SECRET)
    return kind("SELECT 1", {"text": SECRET}, original, connection_invalidated=invalidated)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ProblemError(418, "x", kind="teapot"), 418, "teapot"),
        (HTTPNotFound(SECRET), 404, None),
        (HTTPForbidden(SECRET, result=False), 403, None),
        (HTTPBadRequest("The header Host names no host."), 400, None),
        (HTTPMethodNotAllowed(), 405, None),
        (HTTPFound("/elsewhere"), 500, None),
        (BadCSRFToken(), 400, "csrf"),
        (InvalidText("name", "is empty."), 422, "invalid-content"),
        (TextTooLarge("text", "is large."), 413, "invalid-content"),
        (UnsupportedFile("only text"), 415, "invalid-content"),
        (InvalidRun("sources", "none"), 422, "invalid-content"),
        (UnknownLine("none"), 422, "invalid-content"),
        (UnknownModel("m", "none", "Write extract."), 422, "invalid-content"),
        (InvalidCursor("no"), 400, "invalid-request"),
        (QueueFull("full"), 503, "queue-full"),
        (exc.TimeoutError(SECRET), 503, "database-busy"),
        (database_error(exc.OperationalError), 503, "database-away"),
        (database_error(exc.InterfaceError), 503, "database-away"),
        (database_error(exc.DBAPIError, invalidated=True), 503, "database-away"),
        (database_error(exc.IntegrityError), 409, None),
        (database_error(exc.DataError), 500, None),
        (RuntimeError(SECRET), 500, None),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, SECRET), 500, None),
    ],
)
def test_problems(error, status, kind):
    problem = problem_of(error)
    assert (problem.status, problem.kind) == (status, kind)
    assert problem.detail
    assert "hunter2" not in f"{problem.detail} {problem.errors}"
    assert ("Retry-After" in problem.headers) == (status == 503)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (exc.TimeoutError(SECRET), "DB_POOL_EXHAUSTED"),
        (database_error(exc.OperationalError), "database_unreachable"),
        (
            database_error(exc.OperationalError, psycopg2.OperationalError("Connection refused")),
            "DB_REFUSED",
        ),
        (database_error(exc.DBAPIError, invalidated=True), "database_unreachable"),
        (ConnectorException(), "database_unreachable"),
        (database_error(exc.IntegrityError), None),
        (QueueFull("full"), None),
    ],
)
def test_why_the_database_cannot_be_used(error, cause):
    assert problem_of(error).cause == cause


@pytest.mark.parametrize("kind", ["SerializationFailure", "QueryCanceled", "LockNotAvailable"])
def test_a_busy_database_is_told_from_one_that_is_away(kind, dbsession_error):
    assert problem_of(dbsession_error(kind)).kind == "database-busy"


@pytest.fixture
def dbsession_error(monkeypatch):
    """psycopg2 sets pgcode on what the server sends alone; its classes carry none."""
    from psycopg2 import errorcodes, errors

    def make(kind):
        code = {
            "SerializationFailure": errorcodes.SERIALIZATION_FAILURE,
            "QueryCanceled": errorcodes.QUERY_CANCELED,
            "LockNotAvailable": errorcodes.LOCK_NOT_AVAILABLE,
        }[kind]
        original = type(kind, (getattr(errors, kind),), {"pgcode": code})()
        return database_error(exc.OperationalError, original)

    return make


def test_an_add_on_teaches_its_own():
    class Melted(Exception):
        pass

    assert problem_of(Melted()).status == 500
    problem_of.register(Melted, lambda error: ProblemError(410, "It has melted."))
    assert problem_of(Melted()).status == 410
