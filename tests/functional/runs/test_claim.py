"""Tests that the row of a step locks it for one worker, and that late attempts change nothing."""

from __future__ import annotations

import threading
import uuid

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from combine_core.lines import UnknownLine
from combine_core.llm import ProviderRegistry, UnknownModel
from combine_core.runs import (
    InvalidRun,
    QueueFull,
    Run,
    RunState,
    Step,
    StepState,
    cancel_run,
    start_run,
)
from combine_core.runs import service as run_service
from combine_core.runs.assignment import read_assignment
from combine_core.runs.claim import (
    Claim,
    adopt_orphans,
    claim_step,
    fail_step,
    finish_step,
    hand_back,
    retry_step,
)
from tests.functional.runs.conftest import Place, StartRun

Sessions = sessionmaker[Session]
FACTS = {
    "facts": [
        {
            "text": "The oven runs at 180 °C from Monday.",
            "kind": "statement",
            "evidence": [
                {"source": "S1", "line_from": 3, "line_to": 3, "quote": "The oven runs at 180 °C"}
            ],
        }
    ]
}


def step_of(sessions: Sessions, run: Run, key: str) -> Step:
    with sessions() as session:
        return session.scalars(select(Step).where(Step.run_id == run.id, Step.key == key)).one()


def jobs_of(sessions: Sessions, step: Step, status: str = "todo") -> list[int]:
    with sessions() as session:
        return list(
            session.scalars(
                text(
                    "SELECT id FROM procrastinate_jobs"
                    " WHERE args ->> 'step_id' = :step AND status = CAST(:status AS procrastinate_job_status)"
                    " ORDER BY id"
                ),
                {"step": str(step.id), "status": status},
            )
        )


def take(sessions: Sessions, step_id: uuid.UUID, job: int = 1) -> Claim:
    with sessions.begin() as session:
        claim = claim_step(session, step_id, job)
    assert claim is not None
    return claim


def finish(session: Session, claim: Claim) -> bool:
    assignment = read_assignment(session, claim.run_id, claim.key)
    return finish_step(session, claim, assignment, FACTS, used_llm=False)


def state_of(sessions: Sessions, run: Run) -> str:
    with sessions() as session:
        return session.get_one(Run, run.id).state


def test_a_run_starts_with_one_job_for_its_first_step(sessions: Sessions, start: StartRun) -> None:
    run = start()
    facts, brief = step_of(sessions, run, "facts"), step_of(sessions, run, "brief")
    assert (facts.state, brief.state) == (StepState.READY, StepState.PENDING)
    assert len(jobs_of(sessions, facts)) == 1
    assert jobs_of(sessions, brief) == []


def test_a_run_that_is_rolled_back_leaves_no_job(
    sessions: Sessions, place: Place, providers: ProviderRegistry
) -> None:
    with sessions() as session:
        start_run(
            session, place.project_id, "brief", [place.source_id], place.user_id,
            model="extract", providers=providers,
        )  # fmt: skip
        session.rollback()
        assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0
        assert session.scalar(text("SELECT count(*) FROM runs")) == 0


def test_one_of_twenty_parallel_claims_succeeds(sessions: Sessions, start: StartRun) -> None:
    step = step_of(sessions, start(), "facts")
    barrier = threading.Barrier(20)
    won: list[int] = []

    def contend(job: int) -> None:
        barrier.wait()
        with sessions.begin() as session:
            if claim_step(session, step.id, job) is not None:
                won.append(job)

    threads = [threading.Thread(target=contend, args=(job,)) for job in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_second_claim_by_the_job_fences_the_first_attempt(
    sessions: Sessions, start: StartRun
) -> None:
    run = start()
    step = step_of(sessions, run, "facts")
    first = take(sessions, step.id, job=7)
    second = take(sessions, step.id, job=7)
    assert second.epoch == first.epoch + 1
    with sessions.begin() as session:
        assert not finish(session, first)
        assert not fail_step(session, first, "x", "late")
        assert not retry_step(session, first, 0)
    assert step_of(sessions, run, "facts").state == StepState.RUNNING
    with sessions.begin() as session:
        assert finish(session, second)


def test_finishing_a_step_queues_the_next_one(sessions: Sessions, start: StartRun) -> None:
    run = start()
    claim = take(sessions, step_of(sessions, run, "facts").id)
    with sessions.begin() as session:
        finish(session, claim)
    brief = step_of(sessions, run, "brief")
    assert brief.state == StepState.READY
    assert len(jobs_of(sessions, brief)) == 1
    claim = take(sessions, brief.id)
    with sessions() as session:
        assert read_assignment(session, run.id, claim.key).inputs == {"facts": FACTS}


def test_a_failed_step_ends_the_run_and_its_other_steps(
    sessions: Sessions, start: StartRun
) -> None:
    run = start()
    claim = take(sessions, step_of(sessions, run, "facts").id)
    with sessions.begin() as session:
        fail_step(session, claim, "auth", "The key is wrong. Set ANTHROPIC_API_KEY.")
    assert state_of(sessions, run) == RunState.FAILED
    assert step_of(sessions, run, "brief").state == StepState.CANCELLED


def test_a_cancelled_run_accepts_no_result(sessions: Sessions, start: StartRun) -> None:
    run = start()
    step = step_of(sessions, run, "facts")
    claim = take(sessions, step.id)
    with sessions.begin() as session:
        assert cancel_run(session, run.id)
        assert not cancel_run(session, run.id)
    with sessions.begin() as session:
        assert not finish(session, claim)
    assert state_of(sessions, run) == RunState.CANCELLED
    with sessions.begin() as session:
        assert claim_step(session, step.id, 2) is None


def test_a_released_step_is_ready_and_fences_its_worker(
    sessions: Sessions, start: StartRun
) -> None:
    run = start()
    step = step_of(sessions, run, "facts")
    claim = take(sessions, step.id, job=5)
    with sessions.begin() as session:
        hand_back(session, step.id, job_id=4)  # this is not its job, so nothing happens
    assert step_of(sessions, run, "facts").state == StepState.RUNNING
    with sessions.begin() as session:
        hand_back(session, step.id, job_id=5)
    assert step_of(sessions, run, "facts").state == StepState.READY
    with sessions.begin() as session:
        assert not finish(session, claim)
    assert len(jobs_of(sessions, step)) == 2


@pytest.mark.parametrize("claimed", [True, False], ids=["running", "ready"])
def test_a_step_with_a_lost_job_is_queued_again(
    sessions: Sessions, start: StartRun, claimed: bool
) -> None:
    run = start()
    step = step_of(sessions, run, "facts")
    if claimed:
        take(sessions, step.id)
    with sessions.begin() as session:
        assert adopt_orphans(session) == 0
        session.execute(text("UPDATE procrastinate_jobs SET status = 'failed'"))
    with sessions.begin() as session:
        assert adopt_orphans(session) == 1
    assert step_of(sessions, run, "facts").state == StepState.READY
    assert len(jobs_of(sessions, step)) == 1
    with sessions.begin() as session:
        assert adopt_orphans(session) == 0


def test_an_invalid_run_is_rejected_and_nothing_is_stored(
    sessions: Sessions, place: Place, providers: ProviderRegistry
) -> None:
    def attempt(line: str, sources: list[uuid.UUID], model: str = "extract") -> None:
        with sessions.begin() as session:
            start_run(
                session, place.project_id, line, sources, place.user_id,
                model=model, providers=providers,
            )  # fmt: skip

    with pytest.raises(UnknownLine):
        attempt("nonsense", [place.source_id])
    with pytest.raises(UnknownModel, match="ANTHROPIC_API_KEY"):
        attempt("brief", [place.source_id], "anthropic/claude-sonnet-4-5")
    with pytest.raises(InvalidRun, match="at least one"):
        attempt("brief", [])
    with pytest.raises(InvalidRun, match="21 sources are too many"):
        attempt("brief", [uuid.uuid4() for _ in range(21)])
    with pytest.raises(InvalidRun, match="Not in this project"):
        attempt("brief", [place.source_id, uuid.uuid4()])
    with sessions() as session:
        assert session.scalar(text("SELECT count(*) FROM runs")) == 0


def test_a_duplicate_source_counts_once(
    sessions: Sessions, place: Place, providers: ProviderRegistry
) -> None:
    with sessions.begin() as session:
        run = start_run(
            session, place.project_id, "brief", [place.source_id, place.source_id], place.user_id,
            model="extract", providers=providers,
        )  # fmt: skip
        count = text("SELECT count(*) FROM run_sources WHERE run_id = :run")
        assert session.scalar(count, {"run": run.id}) == 1


def test_a_full_queue_rejects_a_run(start: StartRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_service, "MAX_LIVE_RUNS", 2)
    start()
    start()
    with pytest.raises(QueueFull):
        start()
