"""Tests the stack without its database, with a full disk, and with a broken version."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest

from tests.live.compose_stack import Stack, engine_answers, until

if not engine_answers():
    pytest.skip(
        "no container engine answers (docker info, docker-compose): the stack is untested",
        allow_module_level=True,
    )

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("compose"),
]

WITHIN = 2.0  # seconds
DISCONNECTED = {"status": "unavailable", "database": "disconnected"}


def seconds_until(holds: Callable[[], bool], since: float) -> float:
    """Return how long the condition takes to become true, checked every 20 ms."""
    while not holds():
        assert time.monotonic() - since < 30
        time.sleep(0.02)
    return time.monotonic() - since


@pytest.mark.parametrize("how", ["gone", "silent"])
def test_readiness_follows_the_database(stack: Stack, how: str) -> None:
    (database,) = stack.containers("db")

    def lose() -> None:
        if how == "gone":
            stack.sh(f"docker kill {database}")
        else:
            stack.freeze(database)

    def give_back() -> None:
        if how == "gone":
            stack.sh(f"docker start {database}")
        else:
            stack.thaw(database)

    measured = []
    for _ in range(3):
        started = time.monotonic()
        lose()
        lost = seconds_until(lambda: stack.get("/health/ready")[0] == 503, started)
        until(10, lambda: stack.get("/health/ready")[2] == DISCONNECTED, stack.logs)
        started = time.monotonic()
        give_back()
        answers = f"docker exec {database} pg_isready -q -h 127.0.0.1 -U combine -d combine"
        while stack.sh(answers, check=False).returncode:
            started = time.monotonic()
        returned = seconds_until(lambda: stack.get("/health/ready")[0] == 200, started)
        measured.append((lost, returned))
    sys.stdout.write(f"{how}: " + "; ".join(f"503 {a:.2f} s, 200 {b:.2f} s" for a, b in measured))
    assert max(max(pair) for pair in measured) < WITHIN


def test_a_full_disk_for_the_log_stops_no_service(stack: Stack) -> None:
    """The disk of the log has 64 kB, which fill up."""
    before = stack.environment["COMPOSE_FILE"]
    stack.add_compose_file(
        "full",
        """
services:
  app:
    command: [sh, -c, "exec pserve production.ini >>/log/app.log 2>&1"]
    tmpfs: [/tmp, "/log:size=64k,mode=1777"]
""",
    )
    try:
        token = stack.token()
        stack.sh("docker-compose up -d app")
        stack.until_ready()
        asked = {"Authorization": f"Bearer {token}"}
        free = "docker-compose exec -T app df --output=avail /log"
        for _ in range(60):
            statuses = [stack.get("/api/v1/me", asked)[0] for _ in range(20)]
            assert set(statuses) == {200}
            if stack.sh(free).stdout.split()[-1] == "0":
                break
        else:
            pytest.fail("the disk is not full")
        assert [stack.get("/api/v1/me", asked)[0] for _ in range(50)] == [200] * 50
        assert stack.get("/health/ready")[0] == 200
    finally:
        stack.environment["COMPOSE_FILE"] = before
        stack.sh("docker-compose up -d app")
        stack.until_ready()


def test_an_update_that_does_not_become_ready_changes_nothing(stack: Stack) -> None:
    before, services = stack.environment["COMPOSE_FILE"], ("app", "worker", "db", "lb")
    running = {name: stack.containers(name) for name in services}
    stack.add_compose_file(
        "broken", 'services: {app: {command: [sh, -c, "echo broken; sleep 1000"]}}'
    )
    try:
        done = stack.sh("PATIENCE=5 make rolling", check=False)
    finally:
        stack.environment["COMPOSE_FILE"] = before
    assert done.returncode != 0
    assert "did not become ready within 5 s" in done.stderr
    assert "broken" in done.stdout
    assert {name: stack.containers(name) for name in services} == running
    assert stack.get("/health/ready")[0] == 200


def test_an_update_with_an_invalid_environment_changes_nothing(stack: Stack) -> None:
    services = ("app", "worker", "db", "lb")
    running = {name: stack.containers(name) for name in services}
    stack.write_env(SECRET_KEY="changeme")
    try:
        done = stack.sh("make rolling", check=False)
    finally:
        stack.write_env()
    assert done.returncode != 0
    assert "SECRET_KEY" in done.stdout + done.stderr
    assert {name: stack.containers(name) for name in services} == running
    assert stack.get("/health/ready")[0] == 200
