"""What the checks of combine_core say of a real database in each state."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from webtest import TestApp

from combine_core.database import engine_of, new_id
from combine_core.database.migrations import head_revision
from tests.conftest import MakeDatabase

UNKNOWN = "UPDATE alembic_version SET version_num = 'ff99'"
KNOWN_PARENT = (
    "INSERT INTO schema_undo (revision, down_revision, title, statements)"
    " SELECT 'ff99', max(revision), 'x', '' FROM schema_undo"
)
Detailed = Callable[..., dict[str, Any]]


@pytest.fixture
def detailed(make_app: Any) -> Detailed:
    """The body of /health/detailed of a service on ``database_url``, each check run for it."""

    def ask(database_url: str, app: Any = None) -> dict[str, Any]:
        settings = {"combine_health.background": "false", "combine_health.details": "always"}
        application = app or make_app(settings, database_url=database_url)
        answer: dict[str, Any] = TestApp(application).get("/health/detailed").json
        return answer

    return ask


def execute(url: str, *statements: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def test_a_migrated_database_with_a_worker_is_healthy(
    detailed: Detailed, database_url: str
) -> None:
    execute(database_url, "INSERT INTO procrastinate_workers DEFAULT VALUES")
    body = detailed(database_url)
    assert {name: check["status"] for name, check in body["checks"].items()} == {
        "database": "healthy",
        "migrations": "healthy",
        "pool": "healthy",
        "worker": "healthy",
        "providers": "healthy",
    }
    assert body["status"] == "healthy"
    assert body["migrations"] == {"current": head_revision(), "head": head_revision()}
    assert body["contacts"] == {"on_call": "TBD", "database": "TBD", "infrastructure": "TBD"}
    assert body["pool"]["limit"] == 10


def test_no_worker_is_degraded_and_still_ready(
    make_app: Any, detailed: Detailed, database_url: str
) -> None:
    app = make_app({"combine_health.background": "false", "combine_health.details": "always"})
    # Workers are replaced now and then: one look without any is none.
    assert detailed(database_url, app)["checks"]["worker"]["status"] == "starting"
    body = detailed(database_url, app)
    check = body["checks"]["worker"]
    assert (check["status"], check["cause"]) == ("failing", "worker_absent")
    assert "combine worker" in check["remedy"]
    assert body["status"] == "degraded"
    ready = TestApp(app).get("/health/ready", status=200)
    assert ready.json == {"status": "ready", "database": "connected"}


def test_work_that_waits_is_named(detailed: Detailed, database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO procrastinate_workers DEFAULT VALUES",
        "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('steps', 'x')",
        "UPDATE procrastinate_events SET at = now() - interval '10 minutes'",
    )
    check = detailed(database_url)["checks"]["worker"]
    assert (check["status"], check["cause"]) == ("degraded", "worker_behind")
    assert check["data"]["waiting"] == 1
    assert 595 < check["data"]["oldest_waiting_seconds"] < 700


@pytest.mark.parametrize(
    ("statements", "status", "cause"),
    [
        (["DELETE FROM alembic_version"], "failing", "migrations_none"),
        (["DROP TABLE alembic_version"], "failing", "migrations_none"),
        (["UPDATE alembic_version SET version_num = '0001'"], "failing", "migrations_behind"),
        (["INSERT INTO alembic_version VALUES ('0001')"], "failing", "migrations_several_heads"),
        ([UNKNOWN], "failing", "migrations_unknown"),
        ([UNKNOWN, KNOWN_PARENT], "healthy", None),
    ],
    ids=["no row", "no table", "behind", "several heads", "another history", "ahead"],
)
def test_the_schema_decides_readiness(
    make_app: Any,
    detailed: Detailed,
    make_database: MakeDatabase,
    statements: list[str],
    status: str,
    cause: str | None,
) -> None:
    url = make_database()
    execute(url, *statements)
    settings = {"combine_health.background": "false", "combine_health.details": "always"}
    app = make_app(settings, database_url=url)
    check = detailed(url, app)["checks"]["migrations"]
    assert (check["status"], check["cause"]) == (status, cause)
    ready = TestApp(app).get("/health/ready", status="*")
    assert ready.status_int == (200 if status == "healthy" else 503)
    assert ready.json["database"] == "connected"
    if status == "healthy":
        assert check["data"]["position"] == "ahead"
    else:
        remedy = "DATABASE_URL" if cause == "migrations_unknown" else "alembic upgrade head"
        assert remedy in check["remedy"]


def test_an_exhausted_pool_is_not_a_database_that_is_down(
    make_app: Any, detailed: Detailed, database_url: str
) -> None:
    app = make_app(
        {
            "combine_health.background": "false",
            "combine_health.details": "always",
            "combine_core.db_pool_size": "1",
            "combine_core.db_max_overflow": "0",
        }
    )
    engine = engine_of(app.registry)
    got = threading.Event()

    def wait_in_line() -> None:
        with engine.connect():
            got.set()

    with engine.connect():
        waiting = threading.Thread(target=wait_in_line)
        waiting.start()
        while engine.pool.reading().waiting == 0:  # type: ignore[attr-defined]
            got.wait(0.01)
        body = detailed(database_url, app)
    waiting.join()
    assert got.is_set()
    assert body["checks"]["pool"]["cause"] == "pool_exhausted"
    assert body["checks"]["database"]["status"] == "healthy"
    assert TestApp(app).get("/health/ready", status=200)
    reading = engine.pool.reading()  # type: ignore[attr-defined]
    assert (reading.checked_out, reading.waiting, reading.oldest_seconds) == (0, 0, 0)


def test_failing_calls_degrade_their_provider(detailed: Detailed, database_url: str) -> None:
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for number in range(4):
            cursor.execute(
                "INSERT INTO calls (id, run_id, step_id, sequence, epoch, provider, model,"
                " request_sha256, request, state, error_code, latency_ms)"
                " VALUES (%s, %s, %s, 1, 1, 'anthropic', 'm', 'x', '{}', %s, %s, 900)",
                (
                    str(new_id()),
                    str(uuid.uuid4()),
                    str(uuid.uuid4()),
                    "error" if number else "ok",
                    "overloaded" if number else None,
                ),
            )
    connection.close()
    check = detailed(database_url)["checks"]["providers"]
    assert (check["status"], check["cause"]) == ("degraded", "provider_errors")
    assert check["detail"] == "anthropic: 3 of 4 calls failed, last with overloaded"
    assert check["data"]["anthropic"] == {"calls": 4, "errors": 3, "median_ms": 900}


def test_no_secret_of_the_database_is_shown(make_app: Any) -> None:
    url = "postgresql://combine:canary-password@127.0.0.1:1/combine"
    app = make_app(
        {"combine_health.background": "false", "combine_health.details": "always"},
        database_url=url,
    )
    client = TestApp(app)
    assert client.get("/health/ready", status=503).json == {
        "status": "unavailable",
        "database": "disconnected",
    }
    body = client.get("/health/detailed").text
    assert "DB_REFUSED" in body
    assert "canary" not in body
