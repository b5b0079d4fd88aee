"""Tests that an unexpected error ends a step after a limited number of attempts and is visible to users."""

from __future__ import annotations

import logging
import threading
import uuid
from typing import Any

import psycopg2
import pytest
from procrastinate.exceptions import ConnectorException
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, NoReferencedTableError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from combine_core.llm import Completion, CompletionRequest, ProviderRegistry, Usage
from combine_core.postgres.diagnosis import is_database_fault
from combine_core.runs import Run, RunState, Step, StepState
from combine_core.runs import execute as execute_module
from combine_core.runs.claim import (
    MAX_UNREPORTED,
    Claim,
    adopt_orphans,
    claim_step,
    hand_back,
    report_late_end,
)
from combine_core.runs.execute import MAX_ERRORS, StepRunner
from combine_core.settings.core import CoreSettings
from tests.functional.runs.conftest import StartRun
from tests.functional.runs.test_worker import (
    Gated,
    calls_of,
    ended,
    fitting,
    gated,
    steps_of,
    with_gated,
    working,
)
from tests.postgres_cluster import wait_for

__all__ = ["gated", "with_gated"]

pytestmark = pytest.mark.usefixtures("frequent_polling")

Sessions = sessionmaker[Session]


class Broken:
    """A provider with a bug: it raises an unexpected error this many times."""

    name = "broken"

    def __init__(self, *, times: int) -> None:
        self.left = times
        self.asked = 0

    def complete(self, request: CompletionRequest) -> Completion:
        self.asked += 1
        if self.left:
            self.left -= 1
            raise KeyError("canary-of-the-source")
        return fitting(request)


def registry_of(provider: Any) -> ProviderRegistry:
    registry = ProviderRegistry()
    registry.register(provider)
    return registry


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute_module, "FIRST_RETRY_S", 0.05)


def test_an_unexpected_error_ends_the_step_after_three_attempts(
    settings: CoreSettings, sessions: Sessions, start: StartRun, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broken = Broken(times=1000)
    run = start("broken/m", registry_of(broken))
    with working(settings, registry_of(broken)):
        failed = ended(sessions, run)
    step = steps_of(sessions, run)["facts"]
    assert (broken.asked, step.errors) == (MAX_ERRORS, MAX_ERRORS - 1)
    assert (failed.state, failed.error_code) == (RunState.FAILED, "internal")
    assert step.state == StepState.FAILED
    assert failed.error == (
        "Collect facts: An unexpected error (KeyError) ended this step, 3 times."
        f" Look for step {step.id} in the workers' logs."
    )
    # The log has one line for each attempt with its location, and one traceback at the end.
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert len(tracebacks) == 1
    assert tracebacks[0].levelname == "ERROR"
    warnings = [record.getMessage() for record in caplog.records if "attempt" in record.msg]
    assert len(warnings) == MAX_ERRORS - 1
    assert "unexpected KeyError at" in warnings[0]
    assert "attempt 1 of 3" in warnings[0]
    assert "canary" not in "".join(warnings)


class Wordy(Broken):
    """A provider that counts more tokens than the journal can store."""

    def complete(self, request: CompletionRequest) -> Completion:
        return Completion("{}", Usage(output_tokens=2**40), None, 200, None, None, used_llm=True)


def test_no_call_of_a_failed_step_stays_open(
    settings: CoreSettings, sessions: Sessions, start: StartRun
) -> None:
    wordy = Wordy(times=0)
    run = start("broken/m", registry_of(wordy))
    with working(settings, registry_of(wordy)):
        assert ended(sessions, run).error_code == "internal"
    assert [call.state for call in calls_of(sessions, run)] == ["lost"] * MAX_ERRORS


def test_a_temporary_error_is_not_kept_in_the_step(
    settings: CoreSettings, sessions: Sessions, start: StartRun
) -> None:
    broken = Broken(times=MAX_ERRORS - 1)
    run = start("broken/m", registry_of(broken))
    with working(settings, registry_of(broken)):
        assert ended(sessions, run).state == RunState.SUCCEEDED
    step = steps_of(sessions, run)["facts"]
    assert (step.state, step.error, step.error_code, step.unreported) == ("done", None, None, 1)


def test_an_error_while_storing_the_document_counts(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    providers: ProviderRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This once happened because the worker had not loaded all models."""
    asked = 0

    def unstorable(*_: Any) -> None:
        nonlocal asked
        asked += 1
        raise NoReferencedTableError("could not find table 'projects'", "projects")

    monkeypatch.setattr("combine_core.runs.claim.write_version", unstorable)
    run = start()
    with working(settings, providers):
        failed = ended(sessions, run)
    assert asked == MAX_ERRORS
    assert (failed.state, failed.error_code) == (RunState.FAILED, "internal")
    assert "NoReferencedTableError" in (failed.error or "")
    states = {key: step.state for key, step in steps_of(sessions, run).items()}
    assert states == {"facts": StepState.DONE, "brief": StepState.FAILED}


def test_an_unreadable_line_ends_the_step(
    settings: CoreSettings, sessions: Sessions, start: StartRun, providers: ProviderRegistry
) -> None:
    """The line cannot be read by this code, for example because a newer release has stored it."""
    run = start()
    with sessions.begin() as session:
        session.execute(text("""UPDATE line_versions SET definition = '{"of": "tomorrow"}'"""))
    with working(settings, providers):
        assert ended(sessions, run).error_code == "internal"


def test_the_error_is_shown_during_retries(sessions: Sessions, start: StartRun) -> None:
    broken = Broken(times=1)
    run = start("broken/m", registry_of(broken))
    step = steps_of(sessions, run)["facts"]
    StepRunner(sessions, registry_of(broken), threading.Event()).run_step(step.id, 1)
    step = steps_of(sessions, run)["facts"]
    assert (step.state, step.errors, step.unreported) == (StepState.READY, 1, 0)
    assert "An unexpected error (KeyError)" in (step.error or "")
    assert "attempt 1 of 3" in (step.error or "")


def claim(sessions: Sessions, step_id: uuid.UUID, job: int) -> Claim | None:
    with sessions.begin() as session:
        return claim_step(session, step_id, job)


def test_a_step_that_always_kills_its_worker_fails(sessions: Sessions, start: StartRun) -> None:
    run = start()
    step = steps_of(sessions, run)["facts"]
    for _ in range(MAX_UNREPORTED):
        # The same job runs again, because its worker was considered dead.
        assert claim(sessions, step.id, 7) is not None
    assert claim(sessions, step.id, 7) is None
    with sessions() as session:
        failed = session.get_one(Run, run.id)
    assert (failed.state, failed.error_code) == (RunState.FAILED, "worker_lost")
    assert "10 attempts ended without a report" in (failed.error or "")
    assert str(step.id) in (failed.error or "")


def test_drains_and_takeovers_do_not_count_as_attempts(sessions: Sessions, start: StartRun) -> None:
    run = start()
    step = steps_of(sessions, run)["facts"]
    for job in range(3 * MAX_UNREPORTED):
        assert claim(sessions, step.id, job) is not None
        with sessions.begin() as session:
            hand_back(session, step.id, job)
    first = claim(sessions, step.id, 99)
    for _ in range(3 * MAX_UNREPORTED):
        taken_over = claim(sessions, step.id, 99)
        assert first is not None
        with sessions.begin() as session:
            report_late_end(session, first)
        first = taken_over
    assert steps_of(sessions, run)["facts"].unreported == 1


def test_the_wait_for_an_orphan_increases(sessions: Sessions, start: StartRun) -> None:
    run = start()
    step = steps_of(sessions, run)["facts"]
    waits = []
    for _ in range(4):
        with sessions.begin() as session:
            session.execute(text("UPDATE procrastinate_jobs SET status = 'failed'"))
            session.execute(text("UPDATE steps SET state = 'ready' WHERE key = 'facts'"))
        claim(sessions, step.id, 1)
        with sessions.begin() as session:
            assert adopt_orphans(session) == 1
            waits.append(
                session.scalar(
                    text(
                        "SELECT round(extract(epoch FROM scheduled_at - now()))::int"
                        " FROM procrastinate_jobs WHERE status = 'todo'"
                    )
                )
            )
    assert waits == [None, 4, 8, 16]


def error_of(sessions: Sessions, statement: str) -> DBAPIError:
    with sessions() as session, pytest.raises(DBAPIError) as raised:
        session.execute(text(statement))
    return raised.value


@pytest.mark.parametrize(
    ("sqlstate", "fault"),
    [
        ("40001", True),
        ("40P01", True),
        ("53100", True),
        ("53300", True),
        ("57P01", True),
        ("57014", True),
        ("58030", True),
        ("25006", True),
        ("42P01", True),
        ("42703", True),
        ("42501", True),
        ("22021", False),
        ("23505", False),
        ("42601", False),
        ("P0001", False),
    ],
)
def test_database_faults_are_distinguished_from_step_faults(
    sessions: Sessions, sqlstate: str, fault: bool
) -> None:
    raised = error_of(sessions, f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$")
    assert is_database_fault(raised) is fault
    wrapped = ConnectorException()
    wrapped.__cause__ = raised
    assert is_database_fault(wrapped) is fault


def test_a_missing_connection_is_a_database_fault() -> None:
    with pytest.raises(psycopg2.OperationalError) as raised:
        psycopg2.connect("postgresql://combine@127.0.0.1:1/combine")
    assert is_database_fault(raised.value)
    assert is_database_fault(PoolTimeout())
    assert not is_database_fault(KeyError("x"))


def test_a_step_waits_for_a_missing_column(
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
    settings: CoreSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The code is newer than the schema until the migration. No step fails because of that."""
    gated.may_answer.set()
    run = start("gated/m1", with_gated)
    with sessions.begin() as session:
        session.execute(text("ALTER TABLE steps RENAME COLUMN errors TO errors_of_later"))
    try:
        with working(settings, with_gated):
            wait_for(lambda: "The database is unavailable" in caplog.text)
            with sessions.begin() as session:
                session.execute(text("ALTER TABLE steps RENAME COLUMN errors_of_later TO errors"))
            with sessions() as session:
                assert (
                    session.scalar(select(Step.errors).where(Step.run_id == run.id).limit(1)) == 0
                )
            assert ended(sessions, run).state == RunState.SUCCEEDED
    finally:
        with sessions.begin() as session:
            session.execute(
                text(
                    "DO $$ BEGIN ALTER TABLE steps RENAME COLUMN errors_of_later TO errors;"
                    " EXCEPTION WHEN undefined_column THEN NULL; END $$"
                )
            )
