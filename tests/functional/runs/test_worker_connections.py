"""Tests that the connection budget covers every connection that a worker can open."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from combine_core.llm import ProviderRegistry
from combine_core.runs import cancel_run
from combine_core.runs import worker as worker_module
from combine_core.runs.jobs import connections_of_worker
from combine_core.settings.core import CoreSettings
from tests.functional.runs.conftest import StartRun
from tests.functional.runs.test_worker import Gated, working
from tests.postgres_cluster import wait_for

# This exceeds the pool of the steps and the pool of the queue.
STEPS, ENDING = 12, 6

CONNECTIONS = """
    SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock'),
        count(*) FILTER (WHERE query LIKE 'LISTEN%')
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'combine worker'
        AND NOT pid = ANY (:earlier)
"""
# Workers of earlier tests have connections, too, which close when their engine is collected.
EARLIER = "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = 'combine worker'"


def test_a_worker_uses_its_budget_at_full_load(
    settings: CoreSettings,
    engine: Engine,
    sessions: sessionmaker[Session],
    start: StartRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Otherwise the worker would restart its queue while the test holds the lock.
    monkeypatch.setattr(worker_module, "POOL_TIMEOUT_S", 600.0)
    providers, working_steps, ending_steps = ProviderRegistry(), Gated("working"), Gated("ending")
    providers.register(working_steps)
    providers.register(ending_steps)
    busy = settings.model_copy(update={"worker_concurrency": STEPS + ENDING})
    for _ in range(STEPS):
        start("working/model", providers)
    cancelled = [start("ending/model", providers) for _ in range(ENDING)]

    with engine.connect() as connection:
        earlier = {"earlier": connection.scalar(text(EARLIER)) or []}

    def connections() -> tuple[int, ...]:
        with engine.connect() as connection:
            return tuple(connection.execute(text(CONNECTIONS), earlier).one())

    with working(busy, providers):
        for provider, calls in ((working_steps, STEPS), (ending_steps, ENDING)):
            for _ in range(calls):
                assert provider.asked.acquire(timeout=30)
        with sessions.begin() as session:
            for run in cancelled:
                cancel_run(session, run.id)
        with engine.begin() as connection:
            connection.execute(text("LOCK TABLE procrastinate_jobs"))
            # The queue cannot end the jobs of cancelled steps, so they occupy its whole pool.
            ending_steps.may_answer.set()
            wait_for(lambda: connections()[1] == 4)
            # The other steps cannot queue the next step, so they occupy their whole pool.
            working_steps.may_answer.set()
            wait_for(lambda: connections()[1:] == (4 + 10, 1))

            assert connections()[0] == connections_of_worker(busy.worker_concurrency) == 15
