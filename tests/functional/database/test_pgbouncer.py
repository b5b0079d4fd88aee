"""Tests Combine behind PgBouncer from Debian, in both pool modes."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import make_url, text

from combine_core.database import make_engine
from combine_core.database.connecting import SET_DIRECT_URL
from combine_core.database.revisions import head_revision
from combine_core.postgres.diagnosis import Cause, Watch, diagnose, explain_error
from combine_core.settings.database_url import parse_database_url
from tests.conftest import MakeDatabase, StartService, cloned_database
from tests.pgbouncer import execute, needs_pgbouncer, pgbouncer
from tests.postgres_cluster import wait_for

pytestmark = [pytest.mark.slow, needs_pgbouncer]

LIMITS = (
    "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
    " current_setting('idle_in_transaction_session_timeout'), current_setting('timezone')"
)
IN_FORCE = ("30s", "10s", "1min", "UTC")
TEXT = "We decided to replace the seal by Friday.\n"


@pytest.fixture(scope="module")
def direct_url(postgres_url: str, worker_id: str) -> Iterator[str]:
    """The direct URL of a database without tables. It has an owner role of its own."""
    role = f"pooled_{worker_id}"
    execute(postgres_url, f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'canary-password'")
    with cloned_database(postgres_url, f"pooled_{worker_id}", "template0") as url:
        yield make_url(url).set(username=role, password="canary-password").render_as_string(False)
    execute(postgres_url, f"DROP ROLE {role}")


Through = Callable[..., str]


@pytest.fixture(scope="module")
def through(direct_url: str, run_folder: Path, worker_id: str) -> Iterator[Through]:
    """``through(mode)``: the URL through a PgBouncer in this mode, which is started once."""
    urls: dict[str, str] = {}
    running = []

    def start(mode: str) -> str:
        if mode not in urls:
            folder = run_folder / f"pgbouncer-{mode}-{worker_id}"
            role = make_url(direct_url).username or ""
            running.append(pgbouncer(folder, direct_url, mode, admin_users=role))
            urls[mode] = running[-1].__enter__()
        renew(urls[mode])
        return urls[mode]

    yield start
    for each in running:
        each.__exit__(None, None, None)


def renew(url: str) -> None:
    """Let PgBouncer replace its connections, which still have the old settings."""
    execute(make_url(url).set(database="pgbouncer").render_as_string(False), "RECONNECT")


def engine_at(url: str, **options: bool):
    secret = parse_database_url(url).get_secret_value()
    return make_engine(
        secret, application_name="combine test", pool_size=2, max_overflow=0, **options
    )


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=30) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


def combine(*words: str, environment: dict[str, str], check: bool = True) -> tuple[str, str]:
    done = subprocess.run(
        [Path(sys.executable).parent / "combine", *words],
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_session_pooling_supports_everything(
    through: Through, start_service: StartService, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    url = through("session")
    engine = engine_at(url)
    with engine.connect() as connection:
        assert connection.execute(text(LIMITS)).one() == IN_FORCE
    engine.dispose()
    assert caplog.messages == []

    given = {"DATABASE_URL": url, "COMBINE_CORE_WORKER": "true", "ENVIRONMENT": "development"}
    source = tmp_path / "note.md"
    source.write_text(TEXT)
    service = start_service(given, wait=False)
    _, said = combine("migrate", "-c", str(service.ini), environment=service.environment)
    assert str(head_revision()) in said
    service.wait_until_healthy()
    # The worker in the service takes the steps of another process, so LISTEN and advisory locks
    # work.
    line = ("run", "brief", str(source), "--format", "json", "-c", str(service.ini))
    document, _ = combine(*line, environment=service.environment)
    assert "seal" in json.dumps(json.loads(document))
    assert "pooler" not in service.log()
    said, _ = combine("doctor", "-c", str(service.ini), environment=service.environment)
    assert "database" in said


def test_transaction_pooling_needs_the_direct_url_for_migrations(
    through: Through, direct_url: str
) -> None:
    given = {"DATABASE_URL": through("transaction"), "ENVIRONMENT": "development"}
    _, said = combine("migrate", "-c", "development.ini", environment=given, check=False)
    assert SET_DIRECT_URL in said
    assert "Traceback" not in said
    _, said = combine(
        *("migrate", "-c", "development.ini"),
        environment={**given, "DATABASE_DIRECT_URL": direct_url},
    )
    assert str(head_revision()) in said


def test_transaction_pooling_reports_inactive_settings(
    through: Through, direct_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = through("transaction")
    role = make_url(direct_url).username
    engine = engine_at(url, shared=True)
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "0"
    engine.dispose()
    (said,) = caplog.messages
    assert "statement_timeout, lock_timeout, idle_in_transaction_session_timeout" in said
    for command in said.partition("PostgreSQL: ")[2].partition(" Then")[0].split(";")[:-1]:
        execute(direct_url, command)
    try:
        renew(url)
        caplog.clear()

        def limits() -> tuple[str, ...]:
            engine = engine_at(url, shared=True)
            try:
                with engine.connect() as connection:
                    return tuple(connection.execute(text(LIMITS)).one())
            finally:
                engine.dispose()

        assert limits() == IN_FORCE
        assert caplog.messages == []
    finally:
        execute(direct_url, f"ALTER ROLE {role} RESET ALL")


def test_a_missing_direct_url_is_logged(through: Through, caplog: pytest.LogCaptureFixture) -> None:
    engine = engine_at(through("transaction"))
    engine.connect().close()
    engine.dispose()
    assert caplog.messages == [SET_DIRECT_URL]


def test_a_service_works_behind_transaction_pooling(
    through: Through, direct_url: str, start_service: StartService, tmp_path: Path
) -> None:
    given = {
        "DATABASE_URL": through("transaction"),
        "DATABASE_DIRECT_URL": direct_url,
        "COMBINE_CORE_WORKER": "true",
        "ENVIRONMENT": "development",
    }
    source = tmp_path / "note.md"
    source.write_text(TEXT)
    service = start_service(given, wait=False)
    combine("migrate", "-c", str(service.ini), environment=service.environment)
    service.wait_until_healthy()
    wait_for(lambda: "These limits are not in force, because a pooler shares" in service.log())
    line = ("run", "brief", str(source), "--format", "json", "-c", str(service.ini))
    document, _ = combine(*line, environment=service.environment)
    assert "seal" in json.dumps(json.loads(document))
    names = execute(direct_url, "SELECT DISTINCT application_name FROM pg_stat_activity")
    assert ("combine worker",) in names


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_the_health_check_leaves_no_settings_behind(
    through: Through, direct_url: str, mode: str
) -> None:
    url = through(mode)
    watch = Watch(make_url(parse_database_url(url).get_secret_value()))
    # The database may have no tables.
    assert watch.check() is None
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchall() == [("0",)]


def test_a_rejected_parameter_has_a_cause_and_a_remedy(through: Through) -> None:
    url = parse_database_url(f"{through('session')}?options=-csearch_path%3Dapp")
    found = diagnose(make_url(url.get_secret_value()), 4)
    assert found.cause is Cause.POOLER_REFUSED
    assert "options" in found.detail
    assert "ALTER ROLE" in found.remedy
    with pytest.raises(psycopg2.Error) as caught:
        psycopg2.connect(f"{through('session')}?options=-csearch_path%3Dapp")
    seen = explain_error(caught.value)
    assert seen is not None
    assert seen.cause is Cause.POOLER_REFUSED


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"password": "wrong-canary"}, Cause.AUTH_FAILED),
        ({"username": "nobody"}, Cause.AUTH_FAILED),
        ({"database": f"none_{uuid.uuid4().hex}"}, Cause.MISSING),
    ],
)
def test_faults_behind_pgbouncer_are_diagnosed(
    through: Through, change: dict[str, str], cause: Cause
) -> None:
    url = make_url(parse_database_url(through("session")).get_secret_value()).set(**change)
    assert diagnose(url, 4).cause is cause


def test_pgbouncer_without_its_database_is_diagnosed(run_folder: Path, worker_id: str) -> None:
    folder = run_folder / f"pgbouncer-alone-{worker_id}"
    away = "postgresql://combine:canary-password@127.0.0.1:1/combine"
    with pgbouncer(folder, away, "session") as url:
        known = make_url(parse_database_url(url).get_secret_value())
        found = diagnose(known, 1)
    # Before PgBouncer has a server connection, the version of Debian does not respond to clients.
    assert found.cause is Cause.TIMEOUT
    assert "If it is a pooler, it waits for the database;" in found.detail


def test_a_full_pgbouncer_is_diagnosed(direct_url: str, run_folder: Path, worker_id: str) -> None:
    folder = run_folder / f"pgbouncer-full-{worker_id}"
    with (
        pgbouncer(folder, direct_url, "session", max_client_conn="1") as url,
        closing(psycopg2.connect(url)),
    ):
        found = diagnose(make_url(parse_database_url(url).get_secret_value()), 4)
        with pytest.raises(psycopg2.Error) as caught:
            psycopg2.connect(url)
    seen = explain_error(caught.value)
    assert seen is not None
    assert found.cause is seen.cause is Cause.TOO_MANY_CONNECTIONS


def test_messages_of_newer_versions_are_known() -> None:
    said = "server login has been failing, cached error: connect failed (server_login_retry)"
    found = explain_error(psycopg2.OperationalError(f"FATAL:  {said}"))
    assert found is not None
    assert found.cause is Cause.POOLER_ALONE


def test_options_in_the_url_apply_to_migrations_and_service(
    make_database: MakeDatabase, start_service: StartService
) -> None:
    url = make_database(migrated=False)
    execute(url, "CREATE SCHEMA app")
    named = f"{url}?options=-csearch_path%3Dapp%20-cstatement_timeout%3D7s"
    combine(
        *("migrate", "-c", "development.ini"),
        environment={"DATABASE_URL": named, "ENVIRONMENT": "development"},
    )
    assert execute(url, "SELECT to_regclass('app.runs') IS NOT NULL") == [(True,)]
    engine = engine_at(named)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM runs")) == 0
        assert connection.execute(text(LIMITS)).one() == ("7s", *IN_FORCE[1:])
    engine.dispose()
    service = start_service({"DATABASE_URL": named, "COMBINE_CORE_WORKER": "true"})
    wait_for(lambda: is_ready(service.url))
    wait_for(lambda: execute(url, "SELECT count(*) FROM app.procrastinate_workers") == [(1,)])
