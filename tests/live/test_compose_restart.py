"""Tests that the stack continues its work after a restart of the engine.

The command in COMBINE_TEST_RESTART_ENGINE restarts the engine, for example `systemctl restart
docker`. This stops every container of the machine.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.live.compose_stack import Stack, engine_answers, until
from tests.live.deployment import Client, check_succeeds, start_run

RESTART = os.environ.get("COMBINE_TEST_RESTART_ENGINE", "")
needs_restart = pytest.mark.skipif(
    not RESTART,
    reason="COMBINE_TEST_RESTART_ENGINE holds no command that restarts the engine: untested",
)

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


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    """A user of the API through the balancer."""
    return Client(stack.url, stack.token())


def restart_engine() -> None:
    """Restart the engine, and return when it responds again."""
    done = subprocess.run(["bash", "-c", RESTART], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    until(60, engine_answers, lambda: "the engine does not answer after its restart")


def states(stack: Stack) -> list[str]:
    listed = stack.sh("docker-compose ps -a --format '{{.Service}} {{.State}} {{.ExitCode}}'")
    return sorted(listed.stdout.splitlines())


def test_a_run_succeeds_through_the_balancer(stack: Stack, client: Client) -> None:
    check_succeeds(client, start_run(client, 1), stack.logs)


@needs_restart
def test_every_service_restarts_with_the_engine(stack: Stack, client: Client) -> None:
    before = {name: stack.containers(name) for name in ("db", "app", "worker", "lb")}
    restart_engine()
    stack.until_ready()
    until(
        60,
        lambda: (
            states(stack)
            == [
                "app running 0",
                "db running 0",
                "lb running 0",
                "migrate exited 0",
                "worker running 0",
            ]
        ),
        stack.logs,
    )
    assert {name: stack.containers(name) for name in before} == before
    check_succeeds(client, start_run(client, 2), stack.logs)


@needs_restart
def test_stopped_services_stay_stopped(stack: Stack) -> None:
    stack.sh("docker-compose stop worker")
    restart_engine()
    stack.until_ready()
    assert stack.containers("worker") == []
    stack.sh("docker-compose up -d")
    stack.until_ready()
