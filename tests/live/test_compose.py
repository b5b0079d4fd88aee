"""Tests the stack of docker-compose.yml on a real engine: start, scaling, faults, backup, rollback.

The tests run in `make soak` if a container engine is available. An engine without network needs the
dependencies of the image in its cache. COMBINE_TEST_COMPOSE_FILE can name an additional Compose
file.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path

import pytest

from combine_core.database.revisions import head_revision
from tests.live.compose_stack import NEWER, Stack, engine_answers, until
from tests.live.load import Call, Load

HEAD = head_revision()

if not engine_answers():
    pytest.skip(
        "no container engine answers (docker info, docker-compose): the stack is untested",
        allow_module_level=True,
    )

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("compose"),
]


def test_up_migrates_and_becomes_healthy(stack: Stack) -> None:
    assert stack.get("/health")[2] == {"status": "healthy"}
    assert stack.get("/health/ready")[2] == {"status": "ready", "database": "connected"}
    until(
        60,
        lambda: "starting" not in stack.sh("docker-compose ps --format '{{.Health}}'").stdout,
        stack.logs,
    )
    states = stack.sh(
        "docker-compose ps -a --format '{{.Service}} {{.State}} {{.Health}} {{.ExitCode}}'"
    )
    assert sorted(states.stdout.splitlines()) == [
        "app running healthy 0",
        "db running healthy 0",
        "lb running healthy 0",
        "migrate exited  0",
        "worker running healthy 0",
    ]
    assert f"{HEAD} (head)" in stack.sh("docker-compose exec -T app alembic current").stdout
    commit = stack.sh("git rev-parse HEAD").stdout.strip()
    version = (
        "docker-compose exec -T app python -c 'import combine_health as h; print(h.__version__)'"
    )
    assert f"+g{commit[:12]}" in stack.sh(version).stdout


def test_the_containers_are_restricted(stack: Stack) -> None:
    for service in ("app", "worker", "db", "lb"):
        inspect = stack.sh(f"docker inspect {stack.containers(service)[0]}").stdout
        ((host, user),) = ((c["HostConfig"], c["Config"]["User"]) for c in json.loads(inspect))
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert host["Memory"] > 0, service
        assert user not in {"", "0", "root"}, service
    compiler = stack.sh("docker-compose exec -T app sh -c 'command -v gcc cc c++'", check=False)
    assert compiler.stdout == ""
    secret = stack.sh("docker-compose exec -T app sh -c 'ls -a /app'").stdout.split()
    assert ".env" not in secret


def test_scaling_an_unchanged_checkout_recreates_nothing(stack: Stack) -> None:
    before = {name: stack.containers(name) for name in ("app", "worker", "db", "lb")}
    stack.sh("docker-compose up -d --scale app=3")
    stack.until_replicas(3)
    after = {name: stack.containers(name) for name in before}
    assert set(before["app"]) < set(after.pop("app"))
    before.pop("app")
    assert after == before


def test_a_frozen_worker_makes_its_container_unhealthy(stack: Stack) -> None:
    freeze = (
        "import os, pathlib, signal; [beat] = pathlib.Path('/tmp').glob('combine-*/worker-*');"
        " os.kill(int(beat.name.split('-')[1]), signal.SIGSTOP)"
    )

    def unhealthy() -> list[str]:
        return [
            each
            for each in stack.containers("worker")
            if stack.sh(
                f"docker inspect --format '{{{{.State.Health.Status}}}}' {each}"
            ).stdout.strip()
            != "healthy"
        ]

    stack.sh("docker-compose up -d --no-recreate --scale worker=3 worker")
    try:
        until(120, lambda: unhealthy() == [], stack.logs)
        frozen = stack.containers("worker")[1]
        stack.sh(f"docker exec {frozen} python -c {shlex.quote(freeze)}")
        until(180, lambda: unhealthy() == [frozen], stack.logs)
        said = stack.sh(f"docker exec {frozen} combine probe worker", check=False)
        assert said.returncode == 1
        assert "it is frozen, or its loop hangs" in said.stdout
    finally:
        stack.sh("docker-compose up -d --scale worker=1 worker")
        stack.sh("docker-compose restart worker")
        stack.until_ready()


def test_a_stack_without_a_ready_service_returns_json(stack: Stack) -> None:
    stack.sh("docker-compose stop db")
    started = time.monotonic()
    until(30, lambda: stack.get("/health/ready")[0] == 503, stack.logs)
    until(30, lambda: "disconnected" in str(stack.get("/health/ready")[2]), stack.logs)
    assert time.monotonic() - started < 5
    status, headers, body = stack.get("/health/ready")
    assert (status, body) == (503, {"status": "unavailable", "database": "disconnected"})
    assert headers["Retry-After"]
    assert stack.get("/health")[0] == 200
    stack.sh("docker-compose start db")
    stack.until_ready()

    stack.sh("docker-compose stop app")
    status, headers, body = stack.get("/api/v1/me", {"X-Request-ID": "0123456789abcdef"})
    assert (status, body["status"], headers["Content-Type"]) == (
        503,
        503,
        "application/problem+json",
    )
    assert headers["Retry-After"] == "2"
    assert headers["X-Request-ID"] == "0123456789abcdef"
    status, headers, body = stack.get("/health/ready")
    assert (status, body["status"], headers["Retry-After"]) == (503, "unavailable", "2")
    stack.sh("docker-compose start app")
    stack.until_ready()


def test_a_backup_is_restored(stack: Stack) -> None:
    stack.rows(
        "INSERT INTO projects (id, slug, name)"
        " SELECT gen_random_uuid(), 's' || n, E'it''s \\\\\\\\ %s ' || n FROM generate_series(1, 500) n"
    )
    # Users are working in the meantime.
    writes = Load(stack.port, stack.token(), _new_project, per_second=20)
    with writes.steady() as sent:
        until(60, lambda: sent.total > 20, stack.logs)
        stack.sh("docker-compose exec db pg_dump -U combine combine > backup.sql")
        until(60, lambda: sent.total > 60, stack.logs)
    assert sent.failed == {}
    assert "\tnew-0\t" in (stack.folder / "backup.sql").read_text()
    stack.sh("docker-compose stop app worker")

    # This restore goes over existing rows, so it loads nothing.
    stack.rows("UPDATE projects SET name = 'newer than the backup' WHERE slug = 's7'")
    restore = "docker-compose exec -T db psql -U combine combine < backup.sql"
    hasty = stack.sh(restore, check=False)
    assert hasty.returncode != 0
    assert "already exists" in hasty.stderr
    assert stack.rows("SELECT count(*) FROM projects WHERE name = 'newer than the backup'") == "1"

    # The runbook says: restore to an empty database.
    stack.sh("docker-compose exec db dropdb -U combine --force combine")
    stack.sh("docker-compose exec db createdb -U combine combine")
    stack.sh(restore)
    stack.sh("docker-compose exec db pg_dump -U combine combine > second.sql")
    assert _rows_of(stack.folder / "second.sql") == _rows_of(stack.folder / "backup.sql")
    stack.sh("docker-compose up -d")
    stack.until_ready()


def test_staging_has_limits_and_a_log(stack: Stack) -> None:
    before = stack.environment["COMPOSE_FILE"]
    stack.environment["COMPOSE_FILE"] += ":docker-compose.staging.yml"
    try:
        stack.sh("docker-compose up -d")
        stack.until_ready()
        for service in ("app", "worker", "db", "lb"):
            inspect = stack.sh(f"docker inspect {stack.containers(service)[0]}").stdout
            (host,) = (one["HostConfig"] for one in json.loads(inspect))
            assert (host["NanoCpus"], host["Memory"]) == (10**9, 2**30), service
            assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}, service
        assert stack.get("/api/v1/me")[0] == 401
        lines = stack.sh("docker-compose logs --no-log-prefix app").stdout.splitlines()
        # Compose may write a control sequence before the output of the service.
        (line,) = (json.loads(one[one.index("{") :]) for one in lines if "/api/v1/me" in one)
        assert (line["status"], line["level"]) == (401, "INFO")
        memory = "docker-compose logs app | grep -i memory"
        assert "limit 1024 MiB (container)" in stack.sh(memory).stdout
    finally:
        stack.environment["COMPOSE_FILE"] = before
        stack.sh("docker-compose up -d")
        stack.until_ready()


def test_the_stack_is_rolled_back(stack: Stack) -> None:
    stack.sh("git tag -f v-older")
    file = stack.folder / "alembic" / "versions" / "new1.py"
    file.write_text(NEWER)
    stack.sh("git add alembic && git commit -qm 'A colour' && git tag -f v-newer")
    stack.sh("docker-compose up -d")
    newer = "docker-compose exec -T app alembic current"
    until(120, lambda: "new1 (head)" in stack.sh(newer, check=False).stdout, stack.logs)
    projects = stack.rows("SELECT count(*) FROM projects")

    # These are the five steps of the runbook.
    stack.sh("docker-compose down")
    stack.sh("git checkout v-older")
    stack.sh("docker-compose up -d")
    stack.until_ready()
    assert not file.exists()
    current = stack.sh("docker-compose exec -T app alembic current")
    assert "new1" in current.stdout
    assert "ahead of this code" in current.stdout + current.stderr
    migrate = stack.sh("docker-compose ps -a migrate --format '{{.ExitCode}}'").stdout.strip()
    assert migrate == "0"
    stack.sh("docker-compose exec -T app alembic downgrade -1")
    assert f"{HEAD} (head)" in stack.sh("docker-compose exec -T app alembic current").stdout
    assert stack.rows("SELECT count(*) FROM projects") == projects
    assert "colour" not in stack.rows(
        "SELECT string_agg(attname::text, ',') FROM pg_attribute"
        " WHERE attrelid = 'projects'::regclass AND NOT attisdropped"
    )
    stack.until_ready()


@pytest.mark.parametrize(
    ("values", "named"),
    [({"SECRET_KEY": "changeme"}, ["SECRET_KEY"]), (None, ["SECRET_KEY", "DATABASE_URL"])],
    ids=["placeholder", "absent"],
)
def test_an_invalid_environment_is_named_in_the_log_of_app(
    stack: Stack, values: dict[str, str] | None, named: list[str]
) -> None:
    stack.sh("docker-compose down --timeout 10")
    if values is None:
        (stack.folder / ".env").unlink()
    else:
        stack.write_env(**values)
    try:
        # If the database cannot start either, Compose reports it and fails.
        stack.sh(f"PORT={stack.port} docker-compose up -d", check=False)
        logs = "docker-compose logs app"
        until(60, lambda: "EnvironmentError" in stack.sh(logs).stdout, stack.logs)
        output = stack.sh(logs).stdout
        for variable in named:
            assert variable in output
        # The retries never stop, but their interval grows. The log stays short, and its end has the
        # reason.
        states = "docker-compose ps -a app worker --format '{{.Service}} {{.Status}}'"

        def both_wait_for_the_next_try() -> bool:
            said = sorted(stack.sh(states).stdout.splitlines())
            return bool(
                re.fullmatch(r"app Restarting \(1\).*\nworker Restarting \(1\).*", "\n".join(said))
            )

        until(120, both_wait_for_the_next_try, stack.logs)
        tries = "docker inspect --format '{{.RestartCount}}' $(docker-compose ps -aq app)"
        until(120, lambda: int(stack.sh(tries).stdout) >= 5, stack.logs)
        last = stack.sh("docker-compose logs --tail=100 app").stdout
        assert "EnvironmentError" in last
        assert named[0] in last
        # The processes end when they should.
        ended = "docker-compose ps -a migrate --format '{{.State}}'"
        until(120, lambda: stack.sh(ended).stdout.strip() in {"exited", "created"}, stack.logs)
    finally:
        stack.sh(f"PORT={stack.port} docker-compose down --timeout 3", check=False)
        stack.write_env()
        stack.sh("docker-compose up -d")
        stack.until_ready()


def _new_project(number: int) -> Call:
    return Call("POST", "/api/v1/projects", {"name": f"New {number}"}, expected=201)


def _rows_of(dump: Path) -> list[str]:
    """Return the lines of a dump without those that differ each time."""
    return [
        line for line in dump.read_text().splitlines() if not re.match(r"\\(un)?restrict", line)
    ]
