"""Tests that the service finds the new primary in ten failovers under fifty writes a second."""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from combine_core.database.migrations import upgrade
from tests.conftest import Service, starting_services
from tests.failover import Pair, needs_pair, running_pair
from tests.live.load import Call, Load
from tests.live.test_live_api import finished_run, token_of
from tests.postgres_cluster import Cluster, wait_for

FAILOVERS = int(os.environ.get("FAILOVERS", "10"))
PER_SECOND = 50
# The time during which the address still leads to the old primary.
STALE_S = 3.0
WITHIN_S = 10.0
NAMES = "SELECT name FROM projects WHERE name LIKE %s"


@pytest.mark.soak
@pytest.mark.timeout(900)
@needs_pair
def test_the_service_survives_ten_failovers_under_load(
    run_folder: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with running_pair(run_folder) as pair, starting_services(tmp_path, pair.url) as start:
        upgrade(pair.url().replace("postgresql:", "postgresql+psycopg2:", 1))
        service = start()
        token = token_of(service)
        report = []
        for number in range(FAILOVERS):
            report.append(fail_over_under_load(pair, service, token, f"round{number}"))
            sys.stderr.write(f"{report[-1]}\n")
            pair.rebuild()
        record_property("failovers", report)
        # The worker has found the new primary, too.
        assert finished_run(service, token)["state"] == "succeeded", service.log()


def fail_over_under_load(pair: Pair, service: Service, token: str, name: str) -> dict[str, object]:
    """Perform one failover and return the measurements."""
    port = int(service.url.rpartition(":")[2])

    def create(number: int) -> Call:
        return Call("POST", "/api/v1/projects", {"name": f"{name}-{number}"}, expected=201)

    load = Load(port, token, create, per_second=PER_SECOND)
    with load.steady() as outcomes:
        wait_for(lambda: outcomes.answered[201] > 2 * PER_SECOND)
        pair.fail_over()
        # The address now leads to a standby, and the service reports it.
        wait_for(lambda: ready(service) == 503)
        stale_until = time.monotonic() + STALE_S
        while time.monotonic() < stale_until:
            assert ready(service) == 503
            time.sleep(0.1)
        moved = time.monotonic()
        before = outcomes.answered[201]
        pair.move()
        wait_for(lambda: ready(service) == 200)
        ready_after = time.monotonic() - moved
        wait_for(lambda: outcomes.answered[201] > before)
        written_after = time.monotonic() - moved
        at = time.monotonic() - load._started
        # Nothing fails from now on.
        time.sleep(2)
    failed = Counter(said.rpartition(" s: ")[2][:4].strip() for said in outcomes.failed.values())
    late = [said for said in outcomes.failed.values() if began(said) > at + 1]
    created = {f"{name}-{n}" for n in range(outcomes.total)} - {
        f"{name}-{n}" for n in outcomes.failed
    }
    lost = created - names_in(pair.primary, name)
    measured = {
        "ready after": round(ready_after, 2),
        "written after": round(written_after, 2),
        "created": len(created),
        "refused": dict(failed),
        "not replicated": len(lost),
        "slowest": round(outcomes.slowest, 1),
    }
    assert set(failed) <= {"503"}, (measured, list(outcomes.failed.values())[:5])
    assert late == [], measured
    assert lost <= names_in(pair.other, name), measured
    assert max(ready_after, written_after) < WITHIN_S, measured
    return measured


def began(said: str) -> float:
    """Return the second of the load in which a failed call was sent."""
    return float(said.partition(" at ")[2].partition(" s,")[0])


def ready(service: Service) -> int:
    try:
        with urllib.request.urlopen(f"{service.url}/health/ready", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def names_in(cluster: Cluster, prefix: str) -> set[str]:
    with cluster.cursor() as cursor:
        cursor.execute(NAMES, [f"{prefix}-%"])
        return {name for (name,) in cursor.fetchall()}
