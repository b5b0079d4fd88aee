"""Tests that the reported database state matches what users experience, such as in a failover."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from webtest import TestApp

from combine_auth.tokens.service import create_token
from combine_core import health as core_health
from combine_core.database import session_factory
from combine_core.database.migrations import upgrade
from combine_core.postgres.diagnosis import Cause, Watch
from combine_core.postgres.diagnosis import watch as watch_module
from combine_core.users import get_or_create_user
from combine_health import read_check
from combine_health.engine.registry import health_of
from tests.failover import Forwarder, needs_pair, running_pair
from tests.postgres_cluster import PASSWORD, Cluster, make_cluster, wait_for

pytestmark = pytest.mark.slow

SETTINGS = {"combine_health.details": "always"}


@pytest.fixture(scope="module")
def cluster(run_folder: Path) -> Iterator[Cluster]:
    """A server with a migrated database."""
    made = make_cluster(run_folder, "truth")
    with made.serve(max_connections="60"):
        upgrade(made.url().render_as_string(hide_password=False))
        yield made
    shutil.rmtree(made.folder)


class Running:
    """An application with a database, and a user who writes to it."""

    def __init__(self, make_app: Any, url: str, settings: dict[str, str] | None = None) -> None:
        self.application = make_app({**SETTINGS, **(settings or {})}, database_url=url)
        self._client = TestApp(self.application, lint=False)
        with session_factory(self.application.registry).begin() as session:
            user = get_or_create_user(session, f"{uuid.uuid4().hex}@example.com")
            token, _ = create_token(session, user.id, "test")
        self._client.extra_environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        wait_for(lambda: self.ready() == 200)

    def write(self, name: str = "Ovens") -> Any:
        """Return the response to a request that creates a project."""
        return self._client.post_json("/api/v1/projects", {"name": name}, status="*")

    def ready(self) -> int:
        """Return the status of the readiness probe."""
        return int(self._client.get("/health/ready", status="*").status_int)

    def has_looked(self, name: str = "migrations") -> Callable[[], bool]:
        """Return a condition that is true once this check has run again."""

        def latest() -> object:
            reading = read_check(self.application.registry, name)
            assert reading is not None
            assert reading.state is not None
            return reading.state.latest

        before = latest()
        return lambda: latest() is not before

    def is_right_again(self) -> None:
        """Wait until the service is ready, which may need more than one check, and write."""
        self.until("healthy")
        wait_for(lambda: self.ready() == 200)
        assert self.write().status_int == 201

    def check(self, name: str = "database") -> dict[str, Any]:
        """Return the result of a check from the detailed health status."""
        body = self._client.get("/health/detailed", status="*").json
        found: dict[str, Any] = body["checks"][name]
        return found

    def until(self, status: str, cause: str | None = None) -> dict[str, Any]:
        """Wait until the database check reports this, and return the result."""

        def found() -> dict[str, Any] | None:
            check = self.check()
            return check if (check["status"], check.get("cause")) == (status, cause) else None

        check: dict[str, Any] = wait_for(found)
        return check


Run = Callable[..., Running]


@pytest.fixture
def run(make_app: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """``run(url, settings)``: an application with frequent checks, which stop after the test."""
    monkeypatch.setattr(core_health, "SEEN_S", 1)
    monkeypatch.setattr(watch_module, "NEW_CONNECTION_S", 0.5)
    started: list[Running] = []

    def start(url: str, settings: dict[str, str] | None = None) -> Running:
        started.append(Running(make_app, url, settings))
        return started[-1]

    yield start
    for one in started:
        health_of(one.application.registry).runner.stop()


def plain(cluster: Cluster, port: int | None = None) -> str:
    url = cluster.url().set(drivername="postgresql", port=port or cluster.port)
    return str(url.render_as_string(hide_password=False))


@needs_pair
def test_readiness_and_writes_follow_a_failover(run_folder: Path, run: Run) -> None:
    with running_pair(run_folder) as pair:
        upgrade(pair.url().replace("postgresql:", "postgresql+psycopg2:", 1))
        running = run(pair.url())
        running.is_right_again()
        pair.replicate()
        pair.fail_over()
        found = running.until("failing", "DB_READ_ONLY")
        assert "2. Check DATABASE_URL" in found["remedy"]
        refused = running.write()
        assert (refused.status_int, running.ready()) == (503, 503)
        assert refused.json["cause"] == "DB_READ_ONLY"
        assert int(refused.headers["Retry-After"])
        with pair.other.cursor() as cursor:
            pair.move()
            # The requests keep their connections to the old server. The connection of the check may
            # not.
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'combine health%'"
            )
        running.is_right_again()
        assert [running.write().status_int for _ in range(8)] == [201] * 8


def test_a_changed_password_is_reported(cluster: Cluster, run: Run) -> None:
    running = run(plain(cluster))
    with cluster.cursor() as cursor:
        cursor.execute("ALTER ROLE combine PASSWORD 'rotated-canary'")
        found = running.until("failing", "DB_AUTH_FAILED")
        assert running.ready() == 503
        assert "4. Check credentials" in found["remedy"]
        assert "canary" not in str(found)
        cursor.execute(f"ALTER ROLE combine PASSWORD '{PASSWORD}'")
        running.is_right_again()


def test_a_full_server_is_degraded(cluster: Cluster, run: Run) -> None:
    with cluster.cursor("postgres") as cursor:
        cursor.execute("CREATE ROLE guest LOGIN PASSWORD 'guest-canary' IN ROLE pg_write_all_data")
        cursor.execute("GRANT pg_read_all_data TO guest")
        url = cluster.url(password="guest-canary").set(username="guest", drivername="postgresql")
        running = run(url.render_as_string(hide_password=False))
        cursor.execute("ALTER ROLE guest CONNECTION LIMIT 1")
        running.until("degraded", "DB_TOO_MANY_CONNECTIONS")
        # Existing connections work through several checks.
        for _ in range(3):
            assert (running.write().status_int, running.ready()) == (201, 200)
            wait_for(running.has_looked())
        cursor.execute("ALTER ROLE guest CONNECTION LIMIT -1")
        running.until("healthy")


@contextmanager
def small_disk(cluster: Cluster, name: str) -> Iterator[Path]:
    """A file system of 48 MB for the account of the server."""
    disk = cluster.folder / name
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", disk])
    if done.returncode != 0:
        pytest.skip("this account may not mount a file system")
    cluster.account.give(disk)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_full_disk_is_reported(cluster: Cluster, run: Run) -> None:
    with small_disk(cluster, "disk") as disk, cluster.cursor("postgres") as cursor:
        cursor.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        cursor.execute("CREATE DATABASE full_one TABLESPACE small")
        upgrade(cluster.url(database="full_one").render_as_string(hide_password=False))
        url = cluster.url(database="full_one").set(drivername="postgresql")
        running = run(url.render_as_string(hide_password=False))
        assert running.ready() == 200
        filling = fill(disk)
        # A request that meets the fault triggers a check.
        wait_for(lambda: running.write("x" * 100).status_int == 503)
        found = running.until("failing", "DB_DISK_FULL")
        assert running.ready() == 503
        assert "free space" in found["remedy"]
        # `combine doctor` checks once and sees the same.
        once = Watch(make_url(url)).check(20)
        assert once is not None
        assert once.cause is Cause.DISK_FULL
        filling.unlink()
        running.is_right_again()
        health_of(running.application.registry).runner.stop()
        cursor.execute("DROP DATABASE full_one WITH (FORCE)")
        cursor.execute("DROP TABLESPACE small")


def fill(disk: Path) -> Path:
    """Write a file until the disk is full."""
    filling = disk / "filling"
    with suppress(OSError), filling.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filling


def test_a_slow_database_is_degraded_and_stays_ready(
    cluster: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "NEW_CONNECTION_S", 5)
    forwarder = Forwarder(cluster.port)
    running = run(plain(cluster, forwarder.port), {"combine_health.check.database.timeout": "20"})
    forwarder.delay = 0.3  # in each direction
    found = running.until("degraded", "DB_SLOW")
    assert found["data"]["latency_ms"] >= 600
    # Several new connections have been opened by now.
    seen = set()
    for _ in range(6):
        before = running.check()["data"]["latency_ms"]
        seen.add(
            (running.ready(), running.check()["status"], running.check("migrations")["status"])
        )
        wait_for(lambda before=before: running.check()["data"]["latency_ms"] != before)
    assert seen == {(200, "degraded", "healthy")}
    forwarder.delay = 0
    running.until("healthy")
    forwarder.close()


def url_of(cluster: Cluster, role: str) -> str:
    url = cluster.url(password=f"{role}-canary").set(username=role, drivername="postgresql")
    return url.render_as_string(hide_password=False)


def test_a_fault_that_only_requests_meet_is_shown(cluster: Cluster, run: Run) -> None:
    with cluster.cursor() as cursor:
        cursor.execute("CREATE ROLE clerk LOGIN PASSWORD 'clerk-canary' IN ROLE pg_read_all_data")
        cursor.execute("GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk")
        # The account may not TRUNCATE the table of the check, and the check does not need it.
        running = run(url_of(cluster, "clerk"))
        cursor.execute("REVOKE INSERT ON projects FROM clerk")
        refused = running.write()
        assert (refused.status_int, refused.json["cause"]) == (503, "DB_REJECTED")
        found = running.until("degraded", "DB_REJECTED")
        assert "(GRANT)" in found["remedy"]
        # Pages and other requests still work.
        assert running.ready() == 200
        cursor.execute("GRANT INSERT ON projects TO clerk")
        running.until("healthy")


def test_a_missing_permission_is_reported(cluster: Cluster, run: Run) -> None:
    with cluster.cursor() as cursor:
        cursor.execute("CREATE ROLE reader LOGIN PASSWORD 'reader-canary'")
        cursor.execute("GRANT pg_read_all_data, pg_write_all_data TO reader")
        running = run(url_of(cluster, "reader"))
        cursor.execute("REVOKE pg_write_all_data FROM reader")
        wait_for(lambda: running.write().status_int == 503)
        running.until("failing", "DB_REJECTED")
        assert running.ready() == 503
        cursor.execute("GRANT pg_write_all_data TO reader")
        running.until("healthy")


def test_connections_that_fall_silent_are_replaced(cluster: Cluster, run: Run) -> None:
    forwarder = Forwarder(cluster.port)
    running = run(plain(cluster, forwarder.port))
    forwarder.delay = 600
    running.until("failing", "DB_TIMEOUT")
    # New connections work, and the old ones are silent.
    forwarder.delay = 0
    running.until("healthy")
    wait_for(lambda: running.ready() == 200)
    assert running.write().status_int == 201
    forwarder.close()


def test_hanging_commits_are_reported(
    cluster: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "WRITE_S", 0)
    hanging = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'combine health check'"
    )
    running = run(plain(cluster))
    with cluster.cursor() as cursor:
        try:
            # Every commit waits for a standby that does not exist.
            cursor.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            cursor.execute("SELECT pg_reload_conf()")
            running.until("failing", "DB_TIMEOUT")
            assert running.ready() == 503
            wait_for(lambda: "still hang" in running.check()["detail"])
            cursor.execute(hanging)
            # Three old connections, and those that replaced them.
            before = cursor.fetchone()[0]
            for _ in range(3):
                wait_for(running.has_looked("database"))
            cursor.execute(hanging)
            assert cursor.fetchone()[0] <= before + 1
        finally:
            cursor.execute("ALTER SYSTEM RESET synchronous_standby_names")
            cursor.execute("SELECT pg_reload_conf()")
        running.until("healthy")


@needs_pair
def test_two_hosts_in_the_url_survive_a_failover(run_folder: Path, run: Run) -> None:
    with running_pair(run_folder) as pair:
        upgrade(pair.url().replace("postgresql:", "postgresql+psycopg2:", 1))
        hosts = f"127.0.0.1:{pair.primary.port},127.0.0.1:{pair.other.port}"
        url = f"postgresql://combine:{PASSWORD}@{hosts}/combine?target_session_attrs=read-write"
        running = run(url)
        assert running.write().status_int == 201
        pair.replicate()
        pair.fail_over()
        wait_for(lambda: running.write().status_int == 201)
        running.until("healthy")


def test_connections_closed_by_the_server_are_replaced(cluster: Cluster, run: Run) -> None:
    with cluster.cursor() as cursor:
        cursor.execute("CREATE ROLE idler LOGIN SUPERUSER PASSWORD 'idler-canary'")
        # This is shorter than the interval of the checks.
        cursor.execute("ALTER ROLE idler SET idle_session_timeout = '200ms'")
        running = run(url_of(cluster, "idler"))
        for _ in range(3):
            look = running.has_looked()
            wait_for(look)
            assert running.check("migrations")["status"] == "healthy"
            assert (running.write().status_int, running.ready()) == (201, 200)
