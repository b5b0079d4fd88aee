"""Claims, finishes, fails and returns steps. The step's row decides which worker may work on it.

Each claim increments the row's ``epoch``, and each later change names the epoch of its claim. A worker that
was considered dead but reports late holds an older epoch, so its changes have no effect.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.orm import Session

from combine_core.documents import Origin, write_version
from combine_core.runs.assignment import Assignment, part_key, reading_key, split_key
from combine_core.runs.jobs import QUEUES, enqueue_step
from combine_core.runs.model import Call, CallState, Run, RunSource, RunState, Step, StepState
from combine_core.runs.transitions import CallEvent, RunEvent, StepEvent, change

logger = logging.getLogger(__name__)

# A killed worker reports nothing. That may happen once or twice, but a step that kills its worker every time
# must not be retried forever.
MAX_UNREPORTED = 10
MAX_ADOPTION_DELAY_S = 60
_NEVER_REPORTED = (
    "{attempts} attempts ended without a report. Either the worker was killed, perhaps by its memory limit,"
    " or it lost the database for a long time. Look for step {step} and for restarts in the workers' logs."
)
_ORPHANS = text(
    """
    SELECT steps.id, steps.unreported FROM steps
    WHERE steps.state IN ('ready', 'running') AND steps.line_format = ANY(:formats)
      AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS jobs
        WHERE jobs.status IN ('todo', 'doing') AND jobs.args ->> 'step_id' = steps.id::text)
    ORDER BY steps.id
    LIMIT 100
    FOR UPDATE OF steps SKIP LOCKED
    """
)


@dataclass(frozen=True)
class Claim:
    """The right of this process to work on a step until the next claim or the end of the run."""

    step_id: uuid.UUID
    run_id: uuid.UUID
    key: str
    title: str
    epoch: int
    failures: int
    errors: int


def claim_step(session: Session, step_id: uuid.UUID, job_id: int) -> Claim | None:
    """Claim the step if it is ready, or if this job claimed it before and the worker stopped responding.

    The claim counts as unreported until the attempt ends. After :data:`MAX_UNREPORTED` unreported claims the
    step fails, because it probably kills its worker each time.

    :returns: ``None`` if this job has nothing to do
    """
    claimed = session.execute(
        change(
            StepEvent.CLAIM,
            Step.id == step_id,
            or_(Step.state == StepState.READY, Step.job_id == job_id),
            Step.run_id == Run.id,
            Run.state == RunState.RUNNING,
            epoch=Step.epoch + 1,
            unreported=Step.unreported + 1,
            job_id=job_id,
            started_at=func.coalesce(Step.started_at, func.now()),
        )
        .returning(
            Step.run_id,
            Step.key,
            Step.title,
            Step.epoch,
            Step.failures,
            Step.errors,
            Step.unreported,
        )
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if claimed is None:
        return None
    _lose_calls(session, step_id)
    claim = Claim(step_id, *claimed[:-1])
    if claimed.unreported > MAX_UNREPORTED:
        message = _NEVER_REPORTED.format(attempts=MAX_UNREPORTED, step=step_id)
        logger.error("Step %s of run %s failed: %s", claim.key, claim.run_id, message)
        fail_step(session, claim, "worker_lost", message)
        return None
    return claim


def holds(session: Session, claim: Claim) -> bool:
    """Check whether the claim is still valid, and lock the run so that it stays valid until the commit."""
    state = session.scalar(select(Run.state).where(Run.id == claim.run_id).with_for_update())
    held = session.scalar(
        select(Step.id).where(
            Step.id == claim.step_id,
            Step.epoch == claim.epoch,
            Step.state == StepState.RUNNING,
        )
    )
    return state == RunState.RUNNING and held is not None


def _change_held(session: Session, claim: Claim, event: StepEvent, **values: Any) -> bool:
    """Make the transition if the claim is still valid. Return whether it was made."""
    if not holds(session, claim):
        return False
    at_claim = (Step.id == claim.step_id, Step.epoch == claim.epoch)
    return session.scalar(change(event, *at_claim, **values).returning(Step.id)) is not None


def finish_step(
    session: Session,
    claim: Claim,
    assignment: Assignment,
    answer: dict[str, Any],
    *,
    used_llm: bool,
    adopted: bool = False,
) -> bool:
    """Store the answer and the document, make the next steps ready, and end the run after the last step.

    :param answer: the answer with the verdicts of its statements
    :param adopted: whether an earlier run paid for the answer
    :returns: ``False`` if the claim is no longer valid and nothing was stored
    """
    # An earlier attempt may have stored its error.
    without_error = {"error_code": None, "error": None}
    values = {"answer": answer, "used_llm": used_llm, "adopted": adopted, **without_error}
    if not _change_held(session, claim, StepEvent.FINISH, **values):
        return False
    if assignment.step.document is not None:
        used_before = session.scalar(
            select(func.bool_or(Step.used_llm)).where(Step.run_id == claim.run_id)
        )
        write_version(
            session,
            assignment.project_id,
            answer,
            assignment.sources,
            Origin(
                run_id=claim.run_id,
                line=assignment.line,
                line_version_id=assignment.line_version_id,
                step=assignment.step,
                model=assignment.model,
                used_llm=bool(used_before),
            ),
        )
    _advance(session, claim.run_id)
    return True


def fail_step(session: Session, claim: Claim, code: str, message: str) -> bool:
    """Mark the step and its run as failed.

    The run continues if the step reads one of several sources and another source can still succeed.

    :param message: what happened and what to do, for the users
    :returns: ``False`` if the claim is no longer valid
    """
    if not _change_held(session, claim, StepEvent.FAIL, error_code=code, error=message):
        return False
    _lose_calls(session, claim.step_id)
    key, label = split_key(claim.key)
    if label is not None:
        others = select(func.count()).where(
            Step.run_id == claim.run_id,
            Step.key.startswith(part_key(key, ""), autoescape=True),
            Step.state != StepState.FAILED,
        )
        if session.scalar(others):
            _advance(session, claim.run_id)
            return True
    session.execute(change(StepEvent.SKIP, Step.run_id == claim.run_id))
    error = f"{claim.title}: {message}"
    session.execute(change(RunEvent.FAIL, Run.id == claim.run_id, error_code=code, error=error))
    return True


def _lose_calls(session: Session, step_id: uuid.UUID) -> None:
    """Mark the calls that an attempt sent without recording an answer. An answer may have arrived."""
    session.execute(change(CallEvent.LOSE, Call.step_id == step_id, Call.state == CallState.SENT))


def _advance(session: Session, run_id: uuid.UUID) -> None:
    """Make each step ready whose needs have ended, and end the run after the last step.

    A failed step counts as ended: it reads one of several sources, otherwise it would have ended the run.
    """
    of_this_run = Step.run_id == run_id
    in_order = select(Step.key, Step.state, Step.title).where(of_this_run).order_by(Step.position)
    steps = session.execute(in_order).all()
    ended = [step.key for step in steps if step.state in (StepState.DONE, StepState.FAILED)]
    unblock = change(StepEvent.UNBLOCK, of_this_run, Step.needs.contained_by(ended))
    for step_id in session.scalars(unblock.returning(Step.id)).all():
        enqueue_step(session, step_id)
    if len(ended) < len(steps):
        return
    failed = [step.title for step in steps if step.state == StepState.FAILED]
    values: dict[str, Any] = {}
    if failed:
        error = f"These steps failed, so the documents lack their sources: {'; '.join(failed)}."
        values = {"error_code": "incomplete", "error": error}
    session.execute(change(RunEvent.SUCCEED, Run.id == run_id, **values))


def release_waiting_steps(session: Session, source_id: uuid.UUID, number: int) -> None:
    """Make the steps ready that wait for this revision of a source, after its reading succeeded or failed.

    The caller has locked the source, so no run can start between the reading and this function.
    """
    waiting = session.execute(
        select(RunSource.run_id, RunSource.position)
        .join(Run, Run.id == RunSource.run_id)
        .where(
            RunSource.source_id == source_id,
            RunSource.revision == number,
            Run.state == RunState.RUNNING,
        )
        .order_by(RunSource.run_id)
    ).all()
    for run_id, position in waiting:
        # Two sources of one run may be read at the same time. Every change of a step locks its run first.
        session.execute(select(Run.id).where(Run.id == run_id).with_for_update())
        need = reading_key(f"S{position}")
        session.execute(
            update(Step)
            .where(Step.run_id == run_id, Step.needs.contains([need]))
            .values(needs=func.array_remove(Step.needs, need))
            .execution_options(synchronize_session=False)
        )
        _advance(session, run_id)


def retry_step(session: Session, claim: Claim, delay: float, *, error: str | None = None) -> bool:
    """Return the step to the queue after a failed attempt. A worker can claim it after ``delay`` seconds.

    :param error: the message of an unexpected error, which users see until the next attempt ends; ``None``
        if the provider failed temporarily
    :returns: ``False`` if the claim is no longer valid
    """
    if error is None:
        values: dict[str, Any] = {"failures": Step.failures + 1}
    else:
        values = {"errors": Step.errors + 1, "error_code": "internal", "error": error}
    reported = Step.unreported - 1
    if not _change_held(session, claim, StepEvent.RETRY, unreported=reported, **values):
        return False
    enqueue_step(session, claim.step_id, delay=delay)
    return True


def report_late_end(session: Session, claim: Claim) -> None:
    """Record the end of an attempt whose step was claimed again or whose run was cancelled.

    During a database outage a working worker looks dead. This record removes its attempt from the count of
    unreported claims.
    """
    session.execute(
        update(Step)
        .where(Step.id == claim.step_id, Step.unreported > 0)
        .values(unreported=Step.unreported - 1)
    )


def hand_back(session: Session, step_id: uuid.UUID, job_id: int) -> None:
    """Return the step of this job to the queue at once, because its worker is stopping."""
    returned = session.scalar(
        change(
            StepEvent.HAND_BACK,
            Step.id == step_id,
            Step.job_id == job_id,
            epoch=Step.epoch + 1,
            unreported=Step.unreported - 1,
        ).returning(Step.id)
    )
    if returned is not None:
        enqueue_step(session, step_id)


def adopt_orphans(session: Session) -> int:
    """Enqueue up to 100 steps that are ready or running but have no job.

    A job is lost if the database fails at the wrong moment.

    :returns: the number of such steps
    """
    orphans = session.execute(_ORPHANS, {"formats": list(QUEUES)}).all()
    for step_id, unreported in orphans:
        session.execute(change(StepEvent.ADOPT, Step.id == step_id, epoch=Step.epoch + 1))
        # The first retry has no delay, because most likely the worker was killed. A step that repeatedly
        # ends without a report waits longer each time.
        delay = min(2**unreported, MAX_ADOPTION_DELAY_S) if unreported > 1 else 0
        enqueue_step(session, step_id, delay=delay)
    return len(orphans)
