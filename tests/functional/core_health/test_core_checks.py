"""Tests the results of the combine_core checks for each state of a real database."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from webtest import TestApp

from combine_core.database import engine_of, new_id
from combine_core.database.inspection import WITHOUT_INDEX, ForeignKey, without_index
from combine_core.database.revisions import head_revision
from tests.conftest import MakeDatabase

# The heartbeat must stay valid during a slow test, because it is valid for only a few seconds.
WORKER = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() + interval '1 hour')"
UNKNOWN = "UPDATE alembic_version SET version_num = 'ff99'"
KNOWN_PARENT = (
    "INSERT INTO schema_undo (revision, down_revision, title, statements)"
    " SELECT 'ff99', max(revision), 'x', '' FROM schema_undo"
)
Detailed = Callable[..., dict[str, Any]]


@pytest.fixture
def detailed(make_app: Any) -> Detailed:
    """``detailed()``: run each check and return the body of /health/detailed."""

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
    execute(database_url, WORKER)
    body = detailed(database_url)
    assert {name: check["status"] for name, check in body["checks"].items()} == {
        "database": "healthy",
        "migrations": "healthy",
        "pool": "healthy",
        "worker": "healthy",
        "providers": "healthy",
        "connections": "healthy",
        "indexes": "healthy",
        "sign_in": "healthy",
    }
    assert body["status"] == "healthy"
    assert body["migrations"] == {"current": head_revision(), "head": head_revision()}
    assert body["contacts"] == {"on_call": "TBD", "database": "TBD", "infrastructure": "TBD"}
    assert body["pool"]["limit"] == 10


def test_no_worker_is_degraded_and_still_ready(
    make_app: Any, detailed: Detailed, database_url: str
) -> None:
    app = make_app({"combine_health.background": "false", "combine_health.details": "always"})
    # Workers are replaced now and then, so one check without a worker does not count.
    assert detailed(database_url, app)["checks"]["worker"]["status"] == "starting"
    body = detailed(database_url, app)
    check = body["checks"]["worker"]
    assert (check["status"], check["cause"]) == ("failing", "worker_absent")
    assert "combine worker" in check["remedy"]
    assert body["status"] == "degraded"
    ready = TestApp(app).get("/health/ready", status=200)
    assert ready.json == {"status": "ready", "database": "connected"}


def test_one_slow_response_does_not_mean_a_slow_database(
    detailed: Detailed, database_url: str, make_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every response is slow.
    monkeypatch.setattr("combine_core.health.SLOW_S", -1.0)
    settings = {"combine_health.background": "false", "combine_health.details": "always"}
    app = make_app(settings, database_url=database_url)
    seen = [detailed(database_url, app)["checks"]["database"]["status"] for _ in range(3)]
    assert seen == ["healthy", "healthy", "degraded"]


def test_waiting_work_is_reported(detailed: Detailed, database_url: str) -> None:
    execute(
        database_url,
        WORKER,
        "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('steps', 'x')",
        "UPDATE procrastinate_events SET at = now() - interval '10 minutes'",
    )
    check = detailed(database_url)["checks"]["worker"]
    assert (check["status"], check["cause"]) == ("degraded", "worker_behind")
    assert check["data"]["waiting"] == 1
    assert 595 < check["data"]["oldest_waiting_seconds"] < 700


@pytest.mark.parametrize(
    ("code", "age", "status"),
    [
        ("internal", "1 minute", "degraded"),
        ("worker_lost", "14 minutes", "degraded"),
        ("unusable", "1 second", "degraded"),
        ("internal", "16 minutes", "healthy"),
        ("auth", "1 second", "healthy"),
        ("bad_answer", "1 second", "healthy"),
    ],
)
def test_steps_that_fail_without_a_provider_fault_are_reported(
    detailed: Detailed, database_url: str, code: str, age: str, status: str
) -> None:
    user, project, line, run, step = (str(new_id()) for _ in range(5))
    execute(
        database_url,
        WORKER,
        f"INSERT INTO users (id, email, name, is_admin) VALUES ('{user}', 'a@example.org', '', false)",
        f"INSERT INTO projects (id, name, slug) VALUES ('{project}', 'P', 'p')",
        "INSERT INTO line_versions (id, name, definition, sha256)"
        f" VALUES ('{line}', 'brief', '{{}}', 'x')",
        "INSERT INTO runs (id, project_id, line_version_id, model, state, cost, unpriced_calls, requested_by)"
        f" VALUES ('{run}', '{project}', '{line}', 'm', 'failed', 0, 0, '{user}')",
        "INSERT INTO steps"
        " (id, run_id, key, position, title, needs, state, epoch, failures, error_code, ended_at)"
        f" VALUES ('{step}', '{run}', 'facts', 1, 'Facts', '{{}}', 'failed', 1, 0, '{code}',"
        f" now() - interval '{age}')",
    )
    body = detailed(database_url)
    check = body["checks"]["worker"]
    assert check["status"] == status
    if status == "degraded":
        assert body["status"] == status
        assert check["cause"] == "steps_failing"
        assert step in check["detail"]
        assert code in check["detail"]
        assert "docker-compose logs worker" in check["remedy"]
        assert check["data"]["failed_steps"] == 1


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


def test_an_exhausted_pool_is_not_reported_as_database_failure(
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


def add_calls(url: str, *calls: tuple[str, str, int], error: str | None = None) -> None:
    """Add calls of this moment: provider, model, milliseconds."""
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for provider, model, latency_ms in calls:
            cursor.execute(
                "INSERT INTO calls (id, run_id, step_id, sequence, epoch, provider, model,"
                " request_sha256, request, state, error_code, latency_ms)"
                " VALUES (%s, %s, %s, 1, 1, %s, %s, 'x', '{}', %s, %s, %s)",
                (
                    *(str(one) for one in (new_id(), uuid.uuid4(), uuid.uuid4())),
                    provider,
                    model,
                    "error" if error else "ok",
                    error,
                    latency_ms,
                ),
            )
    connection.close()


def test_failing_calls_degrade_their_provider(detailed: Detailed, database_url: str) -> None:
    add_calls(database_url, ("anthropic", "m", 900))
    add_calls(database_url, *[("anthropic", "m", 900)] * 3, error="overloaded")
    check = detailed(database_url)["checks"]["providers"]
    assert (check["status"], check["cause"]) == ("degraded", "provider_errors")
    assert check["detail"] == "anthropic: 3 of 4 calls failed, the last with overloaded"
    found = {"calls": 4, "errors": 3, "median_ms": 900, "p95_ms": 900}
    assert check["data"]["anthropic"] == {**found, "models": {"m": found}}


def test_the_latency_of_each_model_is_shown(detailed: Detailed, database_url: str) -> None:
    add_calls(database_url, ("anthropic", "quick", 100), ("anthropic", "quick", 300))
    add_calls(database_url, ("anthropic", "slow", 9000), ("openai", "slow", 50))
    data = detailed(database_url)["checks"]["providers"]["data"]
    told = {
        (provider, model): (one["calls"], one["median_ms"], one["p95_ms"])
        for provider, found in data.items()
        for model, one in found["models"].items()
    }
    assert told == {
        ("anthropic", "quick"): (2, 200, 290),
        ("anthropic", "slow"): (1, 9000, 9000),
        ("openai", "slow"): (1, 50, 50),
    }
    assert (data["anthropic"]["calls"], data["anthropic"]["median_ms"]) == (3, 300)


def test_a_missing_migration_is_reported_in_one_line(
    make_app: Any, make_database: MakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(
        {"combine_health.background": "false", "combine_health.details": "always"},
        database_url=make_database(migrated=False),
    )
    checks = TestApp(app).get("/health/detailed").json["checks"]
    assert {name: (one["status"], one["cause"]) for name, one in checks.items()} == {
        "database": ("healthy", None),
        "migrations": ("failing", "migrations_none"),
        "pool": ("healthy", None),
        "worker": ("starting", "migrations_none"),
        "providers": ("healthy", None),
        "connections": ("healthy", None),
        "indexes": ("healthy", None),
        "sign_in": ("healthy", None),
    }
    assert "alembic upgrade head" in checks["worker"]["remedy"]
    assert "UndefinedTable" not in caplog.text
    body = TestApp(app).get("/health/detailed").json
    assert body["checks"]["worker"]["status"] == "failing"


LONE = "CREATE TABLE lone (id int PRIMARY KEY, one int REFERENCES lone, two int, three int)"
PAIR = [
    "ALTER TABLE lone ADD UNIQUE (two, three)",
    "ALTER TABLE lone ADD CONSTRAINT pair FOREIGN KEY (three, two) REFERENCES lone (two, three)",
]


@pytest.mark.parametrize(
    ("statements", "missing"),
    [
        ([], ["one"]),
        (["CREATE INDEX ON lone (one)"], []),
        (["CREATE INDEX ON lone USING hash (one)"], []),
        (["CREATE UNIQUE INDEX ON lone (one, two)"], []),
        (["CREATE INDEX ON lone (two, one)"], ["one"]),
        (["CREATE INDEX ON lone (two) INCLUDE (one)"], ["one"]),
        (["CREATE INDEX ON lone (one) WHERE one IS NOT NULL"], ["one"]),
        (["CREATE INDEX ON lone ((one + 0))"], ["one"]),
        (["CREATE INDEX ON lone USING brin (one)"], ["one"]),
        (
            [
                "CREATE INDEX broken ON lone (one)",
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass",
            ],
            ["one"],
        ),
        (["CREATE INDEX ON lone (one)", *PAIR], []),  # the unique index starts with both columns
        (
            ["CREATE INDEX ON lone (one)", PAIR[0], PAIR[1].replace("(three, two)", "(one, id)")],
            ["one, id"],
        ),
    ],
)
def test_foreign_keys_have_an_index(
    make_database: MakeDatabase, statements: list[str], missing: list[str]
) -> None:
    url = make_database(migrated=False)
    execute(url, LONE, *statements)
    found = keys_without_index(url)
    assert [", ".join(key.columns) for key in found] == missing
    execute(url, *[key.remedy for key in found])
    assert keys_without_index(url) == []


def keys_without_index(url: str) -> list[ForeignKey]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(WITHOUT_INDEX)
        return without_index(cursor.fetchall())


def test_a_foreign_key_without_an_index_is_found(
    detailed: Detailed, make_database: MakeDatabase
) -> None:
    url = make_database()
    execute(url, LONE)
    check = detailed(url)["checks"]["indexes"]
    assert (check["status"], check["cause"]) == ("failing", "foreign_keys_without_index")
    assert check["detail"] == "Foreign keys without an index: lone.lone_one_fkey."
    assert check["data"]["create"] == ["CREATE INDEX CONCURRENTLY ON lone (one)"]


def test_too_many_configured_connections_are_reported(
    make_app: Any, detailed: Detailed, make_database: MakeDatabase
) -> None:
    url = make_database()
    execute(url, WORKER)
    many = {"combine_health.background": "false", "combine_health.details": "always"}
    app = make_app({**many, "combine_core.db_pool_size": "500"}, database_url=url)
    check = detailed(url, app)["checks"]["connections"]
    assert (check["status"], check["cause"]) == ("failing", "connections_over_budget")
    # 500 and 5 in the pool, 2 for the checks, 4 for the steps of a worker, 2 more, and 5 of
    # Procrastinate.
    assert check["data"]["needed"] == 508 + 11
    assert "(1 web x 508, 1 worker x 11)" in check["detail"]
    assert "Lower DB_POOL_SIZE" in check["remedy"]
    # It does not decide readiness.
    TestApp(app).get("/health/ready", status=200)


def test_connections_of_other_processes_and_clients_count(
    make_app: Any, detailed: Detailed, make_database: MakeDatabase
) -> None:
    url = make_database()
    # Two more web processes, and other clients.
    peers = [psycopg2.connect(url, application_name="combine health") for _ in range(4)]
    ours = detailed(url)["checks"]["connections"]
    assert ours["data"]["web_processes"] == 3
    # The connections of parallel tests may leave too few for this test.
    assert ours["cause"] in (None, "connections_shared")
    strangers = [psycopg2.connect(url, application_name="psql") for _ in range(2)]
    room = ours["data"]["room"]
    # This number of connections just fits if there are no other clients.
    pool = (room - 11) // 3 - 3
    settings = {
        "combine_health.background": "false",
        "combine_health.details": "always",
        "combine_core.db_pool_size": str(pool),
        "combine_core.db_max_overflow": "0",
    }
    app = make_app(settings, database_url=url)
    for one in peers[2:]:  # the earlier application holds two
        one.close()
    check = detailed(url, app)["checks"]["connections"]
    # Parallel tests open and close connections, too.
    assert check["data"]["others"] >= len(strangers)
    assert (check["status"], check["cause"]) == ("degraded", "connections_shared")
    assert "pg_stat_activity" in check["remedy"]
    execute(url, "ALTER DATABASE " + url.rpartition("/")[2] + " CONNECTION LIMIT 30")
    check = detailed(url, app)["checks"]["connections"]
    assert (check["cause"], check["data"]["room"]) == ("connections_over_budget", 30)
    for one in (*peers, *strangers):
        one.close()


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
