"""Tests which response each exception becomes."""

import functools

import psycopg2
import pytest
from pyramid.config import Configurator
from pyramid.exceptions import BadCSRFToken, ConfigurationConflictError
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
from combine_core.postgres.diagnosis import Cause
from combine_core.runs import InvalidRun, QueueFull
from combine_core.sources import UnsupportedFile
from combine_core.text import InvalidText, TextTooLarge
from combine_core.web import problems
from combine_core.web.problems import ProblemError


@pytest.fixture(scope="module")
def problem_of():
    """The responses of an application with the errors of the domain."""
    config = Configurator()
    config.include("combine_core.web")
    config.include("combine_core.problems")
    config.commit()
    return functools.partial(problems.problem_of, config.registry)


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
        (HTTPBadRequest("The Host header is not a valid host name."), 400, None),
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
        (exc.NoResultFound(SECRET), 404, None),
        (database_error(exc.DataError), 500, None),
        (RuntimeError(SECRET), 500, None),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, SECRET), 500, None),
    ],
)
def test_each_error_has_a_problem_document(problem_of, error, status, kind):
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
        (database_error(exc.IntegrityError), None),
        (QueueFull("full"), None),
    ],
)
def test_database_errors_have_a_reason(problem_of, error, cause):
    assert problem_of(error).cause == cause


@pytest.mark.parametrize(
    "kind", ["SerializationFailure", "QueryCanceled", "LockNotAvailable", "TooManyConnections"]
)
def test_a_busy_database_is_distinguished_from_an_unreachable_one(
    problem_of, kind, dbsession_error
):
    assert problem_of(dbsession_error(kind)).kind == "database-busy"


@pytest.mark.parametrize(
    ("kind", "code", "cause"),
    [
        ("ReadOnlySqlTransaction", "25006", Cause.READ_ONLY),
        ("DiskFull", "53100", Cause.DISK_FULL),
        ("IoError", "58030", Cause.STORAGE_FAILED),
        ("DataCorrupted", "XX001", Cause.CORRUPTED),
        ("InsufficientPrivilege", "42501", Cause.REJECTED),
    ],
)
def test_a_database_fault_gets_503(problem_of, kind, code, cause):
    from psycopg2 import errors

    original = type(kind, (getattr(errors, kind),), {"pgcode": code})()
    problem = problem_of(database_error(exc.DBAPIError, original))
    assert (problem.status, problem.kind, problem.cause) == (503, "database-away", cause)


@pytest.fixture
def dbsession_error(monkeypatch):
    """psycopg2 sets pgcode only on errors from the server; its classes have none."""
    from psycopg2 import errorcodes, errors

    def make(kind):
        code = {
            "SerializationFailure": errorcodes.SERIALIZATION_FAILURE,
            "QueryCanceled": errorcodes.QUERY_CANCELED,
            "LockNotAvailable": errorcodes.LOCK_NOT_AVAILABLE,
            "TooManyConnections": errorcodes.TOO_MANY_CONNECTIONS,
        }[kind]
        original = type(kind, (getattr(errors, kind),), {"pgcode": code})()
        return database_error(exc.OperationalError, original)

    return make


class Melted(Exception):
    """An error raised by an add-on."""


def test_an_add_on_registers_its_own_errors():
    config = Configurator()
    config.include("combine_core.web")
    config.commit()
    assert problems.problem_of(config.registry, Melted()).status == 500
    config.add_problem(Melted, lambda _error: ProblemError(410, "It has melted."))
    config.commit()
    assert problems.problem_of(config.registry, Melted()).status == 410
    # Another application in the same process does not know this error.
    assert problems.problem_of(Configurator().registry, Melted()).status == 500


def test_two_responses_to_the_same_error_conflict():
    config = Configurator()
    config.include("combine_core.web")
    for status in (410, 411):
        config.add_problem(Melted, lambda _error, status=status: ProblemError(status, "It."))
    with pytest.raises(ConfigurationConflictError):
        config.commit()
