"""Tests that each fault of a real PostgreSQL is diagnosed with its remedy within five seconds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from webtest import TestApp

from combine_core.postgres.diagnosis import Cause, Diagnosis, Watch, diagnose, explain_error
from combine_core.postgres.embedded.binaries import candidates
from combine_health.engine.registry import health_of
from tests.postgres_cluster import PASSWORD, Cluster, make_cluster, wait_for

pytestmark = pytest.mark.slow

WITHIN_S = 5.0
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cluster(run_folder: Path) -> Iterator[Cluster]:
    made = make_cluster(run_folder, "faults")
    yield made
    shutil.rmtree(made.folder)


def diagnosed(url: Any) -> Diagnosis:
    found = diagnose(url, 2.0)
    assert PASSWORD not in f"{found} {found.line}"
    assert found.remedy
    return found


def named_within(watch: Watch, cause: Cause | None) -> Diagnosis | None:
    """Wait until the watch reports ``cause`` and return its diagnosis; fail after ``WITHIN_S`` seconds."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        found = watch.check()
        if (found.cause if found else None) is cause:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_a_healthy_server_has_no_fault(cluster: Cluster) -> None:
    with cluster.serve():
        assert diagnosed(cluster.url()).cause is Cause.REACHABLE
        assert Watch(cluster.url()).check() is None


def test_a_wrong_password_and_an_unknown_user(cluster: Cluster) -> None:
    with cluster.serve():
        wrong = diagnosed(cluster.url(password="wrong-canary"))
        unknown = diagnosed(cluster.url().set(username="nobody"))
    assert wrong.cause is unknown.cause is Cause.AUTH_FAILED
    assert "28P01" in wrong.detail
    assert "wrong-canary" not in str(wrong)
    assert "4. Check credentials." in wrong.remedy


def test_a_missing_database(cluster: Cluster) -> None:
    with cluster.serve():
        found = diagnosed(cluster.url(database="nothing"))
    assert found.cause is Cause.MISSING
    assert "3D000" in found.detail


def test_a_database_without_connect_permission(cluster: Cluster) -> None:
    with cluster.serve():
        with cluster.cursor() as cursor:
            cursor.execute("CREATE ROLE guest LOGIN PASSWORD 'guest-canary'")
            cursor.execute("REVOKE CONNECT ON DATABASE combine FROM public")
        found = diagnosed(cluster.url(password="guest-canary").set(username="guest"))
        with cluster.cursor() as cursor:
            cursor.execute("GRANT CONNECT ON DATABASE combine TO public")
            cursor.execute("DROP ROLE guest")
    assert found.cause is Cause.REJECTED
    assert "42501" in found.detail


@contextmanager
def all_taken(dsn: str) -> Iterator[None]:
    """Open all connections that the server allows."""
    with ExitStack() as taken:
        refused = False
        while not refused:
            try:
                taken.enter_context(closing(psycopg2.connect(dsn)))
            except psycopg2.OperationalError:
                refused = True
        yield


def test_all_connections_taken(cluster: Cluster) -> None:
    url = cluster.url().set(drivername="postgresql").render_as_string(hide_password=False)
    with cluster.serve(), all_taken(url):
        found = diagnosed(cluster.url())
    assert found.cause is Cause.TOO_MANY_CONNECTIONS
    assert "max_connections" in found.detail


@pytest.mark.parametrize(
    ("limit", "word"),
    [
        ("ALTER ROLE guest CONNECTION LIMIT 0", "ALTER ROLE"),
        ("ALTER DATABASE combine CONNECTION LIMIT 0", "ALTER DATABASE"),
    ],
)
def test_a_connection_limit_of_a_role_or_database(cluster: Cluster, limit: str, word: str) -> None:
    with cluster.serve():
        with cluster.cursor() as cursor:
            cursor.execute("CREATE ROLE guest LOGIN PASSWORD 'guest-canary'")
            cursor.execute(limit)
        found = diagnosed(cluster.url(password="guest-canary").set(username="guest"))
        with cluster.cursor() as cursor:
            cursor.execute("ALTER DATABASE combine CONNECTION LIMIT -1")
            cursor.execute("DROP ROLE guest")
    assert found.cause is Cause.TOO_MANY_CONNECTIONS
    assert word in found.detail


def test_only_reserved_connections_are_left(cluster: Cluster) -> None:
    dsn = cluster.url(password="guest-canary").set(username="guest", drivername="postgresql")
    with cluster.serve():
        with cluster.cursor() as cursor:
            cursor.execute("CREATE ROLE guest LOGIN PASSWORD 'guest-canary'")
        with all_taken(dsn.render_as_string(hide_password=False)):
            found = diagnosed(cluster.url(password="guest-canary").set(username="guest"))
        with cluster.cursor() as cursor:
            cursor.execute("DROP ROLE guest")
    assert found.cause is Cause.TOO_MANY_CONNECTIONS
    assert "superusers" in found.detail


def test_a_server_during_startup(cluster: Cluster) -> None:
    # The server waits for an archive that never responds.
    with (
        cluster.signal_file("recovery.signal"),
        cluster.serve(ready=False, restore_command="sleep 600"),
    ):
        wait_for(lambda: diagnose(cluster.url(), 2.0).cause is not Cause.REFUSED)
        found = diagnosed(cluster.url())
    assert found.cause is Cause.NOT_ACCEPTING
    assert "57P03" in found.detail
    assert found.advice.retryable


def test_a_server_during_shutdown(cluster: Cluster) -> None:
    with cluster.serve() as process, cluster.cursor():
        # A smart shutdown waits for the connected client.
        process.send_signal(signal.SIGTERM)
        found = wait_for(
            lambda: (one := diagnosed(cluster.url())).cause is not Cause.REACHABLE and one, WITHIN_S
        )
    assert found.cause is Cause.NOT_ACCEPTING
    assert "shutting down" in found.detail


def test_a_standby(cluster: Cluster) -> None:
    with cluster.signal_file("standby.signal"), cluster.serve():
        found = diagnosed(cluster.url())
        seen = Watch(cluster.url()).check()
    assert found.cause is Cause.READ_ONLY
    assert "standby" in found.detail
    assert seen is not None
    assert seen.cause is Cause.READ_ONLY


def programs_with_tls() -> Path | None:
    """Return programs built with OpenSSL. Those of distributions are, those of the wheel are not."""
    for folder in candidates():
        linked = subprocess.run(["ldd", folder / "postgres"], capture_output=True, text=True)
        if "libssl" in linked.stdout:
            return folder
    return None


@pytest.mark.skipif(
    programs_with_tls() is None or shutil.which("openssl") is None,
    reason="no PostgreSQL with TLS here (apt-get install postgresql openssl)",
)
def test_tls_that_the_server_requires(run_folder: Path) -> None:
    cluster = make_cluster(run_folder, "tls", programs_with_tls())
    key, certificate = cluster.own("server.key"), cluster.own("server.crt")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=db.example", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    cluster.account.give(key)
    rules = cluster.own("hba.conf", "hostssl all all all scram-sha-256\n")
    with cluster.serve(
        ssl="on", ssl_key_file=str(key), ssl_cert_file=str(certificate), hba_file=str(rules)
    ):
        without = diagnosed(cluster.url(query="?sslmode=disable"))
        with_tls = diagnosed(cluster.url())
        wrong = diagnosed(cluster.url(password="wrong", query="?sslmode=require"))
        untrusted = diagnosed(cluster.url(query=f"?sslmode=verify-full&sslrootcert={certificate}"))
        absent = diagnosed(
            cluster.url(query=f"?sslmode=verify-ca&sslrootcert={cluster.folder}/none")
        )
        trusted = diagnosed(cluster.url(query=f"?sslmode=verify-ca&sslrootcert={certificate}"))
    shutil.rmtree(cluster.folder)
    assert without.cause is Cause.TLS_REQUIRED
    assert with_tls.cause is trusted.cause is Cause.REACHABLE
    assert wrong.cause is Cause.AUTH_FAILED
    assert untrusted.cause is absent.cause is Cause.TLS_FAILED


def test_tls_that_the_server_lacks(cluster: Cluster) -> None:
    with cluster.serve():
        assert diagnosed(cluster.url(query="?sslmode=require")).cause is Cause.TLS_NOT_OFFERED


def test_a_missing_hba_rule(cluster: Cluster) -> None:
    rules = cluster.own("hba.conf", "host all combine 127.0.0.1/32 scram-sha-256\n")
    with cluster.serve(hba_file=str(rules)):
        found = diagnosed(cluster.url().set(username="guest"))
    assert found.cause is Cause.AUTH_FAILED
    assert "pg_hba.conf" in found.detail


def test_an_exhausted_pool(cluster: Cluster) -> None:
    with cluster.serve():
        engine = create_engine(cluster.url(), pool_size=1, max_overflow=0, pool_timeout=0.1)
        with engine.connect(), pytest.raises(PoolTimeout) as caught:
            engine.connect()
        engine.dispose()
    found = explain_error(caught.value)
    assert found is not None
    assert found.cause is Cause.POOL_EXHAUSTED


def test_a_write_to_a_read_only_database(cluster: Cluster) -> None:
    with cluster.serve(default_transaction_read_only="on"):
        engine = create_engine(cluster.url())
        with engine.connect() as connection, pytest.raises(Exception, match="read-only") as caught:
            connection.execute(text("CREATE TABLE x ()"))
        engine.dispose()
    found = explain_error(caught.value)
    assert found is not None
    assert found.cause is Cause.READ_ONLY


def test_a_statement_terminated_by_an_administrator(cluster: Cluster) -> None:
    with cluster.serve():
        engine = create_engine(cluster.url())
        with engine.connect() as connection, pytest.raises(OperationalError) as caught:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        engine.dispose()
    found = explain_error(caught.value)
    assert found is not None
    # Whether libpq still reads the last message of the server depends on its version.
    assert found.cause in {Cause.NOT_ACCEPTING, Cause.CLOSED}


def german_programs() -> Path | None:
    """Return programs that speak German. Distributions translate PostgreSQL; the wheel has only English."""
    for folder in candidates():
        major = folder.parent.name
        if Path(f"/usr/share/locale/de/LC_MESSAGES/postgres-{major}.mo").is_file():
            return folder
    return None


@pytest.mark.skipif(
    german_programs() is None or shutil.which("localedef") is None,
    reason="no translated PostgreSQL here (apt-get install postgresql locales)",
)
def test_a_server_with_german_messages(run_folder: Path) -> None:
    cluster = make_cluster(run_folder, "german", german_programs())
    locales = cluster.folder / "locales"
    locales.mkdir()
    # Status 1 is a warning about a locale. The locale was created.
    subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(locales / "de_DE.UTF-8")],
        check=False,
        capture_output=True,
    )
    with cluster.serve(locales=locales, lc_messages="de_DE.UTF-8"):
        wrong = diagnosed(cluster.url(password="wrong"))
        missing = diagnosed(cluster.url(database="nothing"))
    shutil.rmtree(cluster.folder)
    assert wrong.cause is Cause.AUTH_FAILED
    assert "fehlgeschlagen" in wrong.detail
    assert missing.cause is Cause.MISSING
    assert "existiert nicht" in missing.detail


# Faults during operation.


def test_a_server_that_freezes_and_continues(cluster: Cluster) -> None:
    with cluster.serve() as process:
        watch = Watch(cluster.url())
        named_within(watch, None)
        frozen = [process.pid, *children(process.pid)]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        found = named_within(watch, Cause.TIMEOUT)
        refined = wait_for(
            lambda: (one := watch.check()) and "did not respond" in one.detail and one, WITHIN_S
        )
        # Kill the first process last, since it reaps the others.
        for pid in reversed(frozen):
            os.kill(pid, signal.SIGCONT)
        named_within(watch, None)
    assert found is not None
    assert refined.cause is Cause.TIMEOUT


def children(pid: int) -> list[int]:
    task = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in task.read_text().split()]


def test_a_server_that_stops_and_returns(cluster: Cluster) -> None:
    with cluster.serve():
        watch = Watch(cluster.url())
        named_within(watch, None)
    found = named_within(watch, Cause.REFUSED)
    assert found is not None
    assert "1. Verify database is running." in found.remedy
    with cluster.serve():
        named_within(watch, None)


def test_one_broken_connection_is_not_a_fault(cluster: Cluster) -> None:
    with cluster.serve():
        watch = Watch(cluster.url())
        named_within(watch, None)
        with cluster.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'combine health'"
            )
        assert watch.check() is None


def test_changes_of_the_cause_are_logged(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    with cluster.serve():
        watch = Watch(cluster.url())
        named_within(watch, None)
        with cluster.cursor("postgres") as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = 'combine'"
            )
            cursor.execute("ALTER DATABASE combine RENAME TO away")
            named_within(watch, Cause.MISSING)
            assert caplog.messages == []
            cursor.execute("ALTER ROLE combine PASSWORD 'changed-canary'")
            named_within(watch, Cause.AUTH_FAILED)
            named_within(watch, Cause.AUTH_FAILED)
            cursor.execute(f"ALTER ROLE combine PASSWORD '{PASSWORD}'")
            cursor.execute("ALTER DATABASE away RENAME TO combine")
            named_within(watch, None)
    lines = [one for one in caplog.records if one.name.endswith("diagnosis.watch")]
    assert [one.levelname for one in lines] == ["ERROR"]
    assert "DB_AUTH_FAILED" in lines[0].getMessage()
    assert "4. Check credentials." in lines[0].getMessage()
    assert "canary" not in caplog.text


def test_the_service_is_not_ready_while_the_database_is_read_only(
    cluster: Cluster, make_app: Any
) -> None:
    url = cluster.url().set(drivername="postgresql").render_as_string(hide_password=False)
    with cluster.serve():
        application = make_app({"combine_health.details": "always"}, database_url=url)
        app = TestApp(application)

        def check(status: str) -> Any:
            found = app.get("/health/detailed", status="*").json["checks"]["database"]
            return found["status"] == status and found

        wait_for(lambda: check("healthy"), WITHIN_S)
        with cluster.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            cursor.execute("SELECT pg_reload_conf()")
        found = wait_for(lambda: check("failing"), WITHIN_S)
        ready = app.get("/health/ready", status=503).json
        with cluster.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off")
            cursor.execute("ALTER SYSTEM RESET default_transaction_read_only")
            cursor.execute("SELECT pg_reload_conf()")
        wait_for(lambda: check("healthy"), WITHIN_S)
        # Otherwise it would continue to watch the servers of other tests.
        health_of(application.registry).runner.stop()
    assert found["cause"] == "DB_READ_ONLY"
    assert found["data"]["contact"] == "Database"
    assert "2. Check DATABASE_URL format." in found["remedy"]
    assert ready["database"] == "disconnected"


@pytest.mark.parametrize(
    ("fault", "cause"),
    [("frozen", "DB_TIMEOUT"), ("password", "DB_AUTH_FAILED"), ("stopped", "DB_REFUSED")],
)
def test_the_doctor_shows_the_fault_first(
    cluster: Cluster, fault: str, cause: str, tmp_path: Path
) -> None:
    url = cluster.url(password="wrong-canary" if fault == "password" else PASSWORD)
    environment = {
        **os.environ,
        "DATABASE_URL": url.set(drivername="postgresql").render_as_string(hide_password=False),
        "ENVIRONMENT": "test",
        "COMBINE_AUTH_LOCAL_SIGN_IN": "false",
    }

    def doctor() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "combine_health", "doctor", "-c", "development.ini"]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
        )

    with cluster.serve() as process:
        if fault == "frozen":
            process.send_signal(signal.SIGSTOP)
        if fault != "stopped":
            done = doctor()
    if fault == "stopped":
        done = doctor()
    assert done.returncode == 1, done.stderr
    first = done.stdout.splitlines()[0]
    assert first.startswith(f"failing: database: {cause}. "), done.stdout + done.stderr
    assert "docker-compose ps db" in first or "echo $DATABASE_URL" in first
    assert "canary" not in done.stdout + done.stderr
