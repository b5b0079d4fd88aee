"""Tests that the stack loses no request under a steady load, while it is updated, scaled and
killed.

``pytest -m soak -rP tests/live/test_compose_load.py`` prints the numbers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.live.compose_stack import Stack, engine_answers, until
from tests.live.load import Call, Load

if not engine_answers():
    pytest.skip(
        "no container engine answers (docker info, docker-compose): the stack is untested",
        allow_module_level=True,
    )

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("compose"),
]

REQUESTS, PER_SECOND = 20_000, 200
WRITES_PER_SECOND = 10
FROZEN_FOR = 15.0  # seconds, longer than the balancer waits for a response


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of three replicas in a clean checkout."""
    stack = Stack.clone(tmp_path_factory.mktemp("compose") / "checkout")
    try:
        stack.sh("docker-compose up -d --scale app=3")
        stack.until_ready()
        stack.until_replicas(3)
        yield stack
    finally:
        stack.remove()


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    """The token of the owner of the project ``harbour``."""
    token = stack.token()
    made = Load(stack.port, token, lambda _: _project(), per_second=1)
    with made.steady() as outcomes:
        until(30, lambda: outcomes.total, stack.logs)
    assert outcomes.answered[201] == 1, outcomes.failed
    return token


def _project() -> Call:
    return Call("POST", "/api/v1/projects", {"name": "Harbour"}, expected=201)


def read(number: int) -> Call:
    """Return a call that reads a page of the service."""
    paths = ("/me", "/projects", "/projects/harbour", "/projects/harbour/sources?limit=5", "/lines")
    return Call("GET", "/api/v1" + paths[number % len(paths)])


def write(run: str) -> Callable[[int], Call]:
    """Return calls that each add a source with a unique name."""

    def call(number: int) -> Call:
        source = {"name": f"{run}-{number}.md", "text": f"Ship {number} leaves on 1 May."}
        return Call("POST", "/api/v1/projects/harbour/sources", source, expected=201)

    return call


def report(*lines: str) -> None:
    """Print the measurements."""
    sys.stdout.write("\n".join([*lines, ""]))


def written(stack: Stack, run: str) -> dict[int, int]:
    """Return how often each source of a run is stored, by its number."""
    lines = stack.rows(
        "SELECT regexp_replace(name, '[^0-9]', '', 'g'), count(*) FROM sources"
        f" WHERE name LIKE '{run}-%' GROUP BY 1"
    )
    return {int(number): int(count) for number, count in (one.split("|") for one in lines.split())}


def test_no_request_of_20_000_is_lost(stack: Stack, token: str) -> None:
    reads = Load(stack.port, token, read, per_second=PER_SECOND)
    writes = Load(stack.port, token, write("orderly"), per_second=WRITES_PER_SECOND)
    said: list[str] = []

    def note(what: str) -> None:
        said.append(f"{time.monotonic() - started:6.1f} s  {what}")

    started = time.monotonic()
    try:
        with reads.steady() as seen:
            # A replica that is asked to end loses no request, not even a write.
            with writes.steady() as sent:
                before = stack.containers("app")
                note("update")
                stack.sh("make rolling")
                assert not set(before) & set(stack.containers("app"))
                note("scale to 1")
                stack.sh("docker-compose up -d --scale app=1")
                note("scale to 3")
                stack.sh("docker-compose up -d --scale app=3")
                stack.until_replicas(3)
            note("kill one")
            stack.kill(stack.containers("app")[0])
            stack.until_replicas(3)
            note("freeze one")
            frozen = stack.containers("app")[1]
            stack.freeze(frozen)
            answered = seen.answered[200] + FROZEN_FOR * PER_SECOND
            until(120, lambda: seen.answered[200] > answered, stack.logs)
            stack.thaw(frozen)
            note("thawed")
            until(300, lambda: seen.total >= REQUESTS, stack.logs)
    finally:
        report(*said, f"GET:  {reads.outcomes}", f"POST: {writes.outcomes}")

    assert seen.failed == {}
    assert seen.total >= REQUESTS
    assert sent.failed == {}
    assert written(stack, "orderly") == dict.fromkeys(range(sent.total), 1)
    assert seen.slowest < 40
    # A slow machine does not reach the rate. The actual rate is printed.
    assert seen.per_second > PER_SECOND / 4


def test_writes_happen_once_while_replicas_are_killed(stack: Stack, token: str) -> None:
    """HTTP cannot tell whether a request without a response was executed, so it is not repeated."""
    writes = Load(stack.port, token, write("killed"), per_second=4 * WRITES_PER_SECOND)
    stack.until_replicas(3)
    with writes.steady() as sent:
        for turn in range(3):
            stack.kill(stack.containers("app")[turn])
            stack.until_replicas(3)
    there = written(stack, "killed")
    report(f"POST: {sent}", *sent.failed.values())
    assert set(there.values()) == {1}
    assert set(range(sent.total)) - set(sent.failed) <= set(there)
    # A reused connection is closed, as RFC 9112 (9.3.1) allows.
    for failure in sent.failed.values():
        assert "may have been carried out" in failure or "RemoteDisconnected" in failure
