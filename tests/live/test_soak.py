"""Tests that take longer than the suite may: `make soak`."""

from __future__ import annotations

import os
import random
import signal

import pytest

from tests.live.test_run import TEXT, Service, folder, free_port, service, wait_for

__all__ = ["folder", "free_port", "service"]

KILLS = 100
RUNS = 40


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_kills_lose_no_run_and_write_no_document_twice(service: Service) -> None:
    """Service and database are killed alternately at random moments. Every run ends with one version."""
    chance = random.Random(1)
    service.make_token()
    service.api("/projects", {"name": "First"})
    sources = [
        service.api("/projects/first/sources", {"name": f"{number}.md", "text": TEXT * 300})["id"]
        for number in range(RUNS)
    ]
    runs = []
    for kill in range(KILLS):
        if kill < RUNS:
            order = {"line": "brief", "sources": [sources[kill]]}
            runs.append(service.api("/projects/first/runs", order)["id"])
        # This does not wait for anything: the kill must come at a random moment.
        signal.sigtimedwait([], chance.uniform(0, 1))
        database = service.database()
        if kill % 2 and database is not None:
            database.kill()
            wait_for(lambda: service.ready()[0] != 200, "the loss of the database")
        else:
            os.killpg(service.process.pid, signal.SIGKILL)
            service.process.wait()
            service.start()
        service.wait_until_ready()
    for run in runs:
        wait_for(
            lambda run=run: service.api(f"/runs/{run}")["ended_at"] is not None, f"the end of {run}"
        )
        ended = service.api(f"/runs/{run}")
        assert ended["state"] == "succeeded", ended
        (document,) = ended["documents"]
        assert document["version"] == 1
