"""Claim a step, finish it, fail it, or give it back. The step's row decides who works on it.

Every claim counts the row's ``epoch`` up, and every later change names the epoch of its claim. An attempt
that was given up for dead and comes back late carries an older epoch: it changes nothing.
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

# A killed worker reports nothing. That is normal once or twice, but a step that ends its worker every time
# must not be retried without end.
MAX_UNREPORTED = 10
MAX_ADOPTION_DELAY_S = 60
_NEVER_REPORTED = (
    "{attempts} attempts ended without a report: the worker was killed, perhaps by its limit on memory, or"
    " it lost the database for long. Look for step {step} in the log of the workers, and for their restarts."
)
_ORPHANS = text(
    """
    SELECT steps.id, steps.unreported FROM steps
    WHERE steps.state IN ('ready', 'running') AND steps.line_format = ANY(:formats)
      AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS jobs
        WHERE jobs.status IN ('todo', 'doing') AND jobs.args ->> 'step_id' = steps.id::text)
    ORDER BY steps.id
    LIMIT :limit
    FOR UPDATE OF steps SKIP LOCKED
    """
)


@dataclass(frozen=True)
class Claim:
    """The right of this process to work on a step, until another claim or until the run ends."""

    step_id: uuid.UUID
    run_id: uuid.UUID
    key: str
    title: str
    epoch: int
    failures: int
    errors: int


def claim_step(session: Session, step_id: uuid.UUID, job_id: int) -> Claim | None:
    """Take the step if it is ready, or if this job had it before and its worker stopped responding.

    The claim counts as unreported until the attempt ends. After :data:`MAX_UNREPORTED` claims that never
    ended the step fails: something about it ends its worker each time.

    :returns: ``None`` when there is nothing to do for this job
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
    # An earlier attempt sent these calls and recorded no answer: it is unknown whether one came.
    session.execute(change(CallEvent.LOSE, Call.step_id == step_id, Call.state == CallState.SENT))
    claim = Claim(
        step_id,
        claimed.run_id,
        key=claimed.key,
        title=claimed.title,
        epoch=claimed.epoch,
        failures=claimed.failures,
        errors=claimed.errors,
    )
    if claimed.unreported > MAX_UNREPORTED:
        message = _NEVER_REPORTED.format(attempts=MAX_UNREPORTED, step=step_id)
        logger.error("Step %s of run %s failed: %s", claim.key, claim.run_id, message)
        fail_step(session, claim, "worker_lost", message)
        return None
    return claim


def holds(session: Session, claim: Claim) -> bool:
    """Return whether the claim is still valid. Locks the run, so that it stays valid until the commit."""
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
    """Make the transition if the claim is still valid, and return whether it was."""
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

    :param answer: with the verdicts of its statements
    :param adopted: an earlier run paid for it
    :returns: ``False`` if the claim is no longer valid; then nothing is stored
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
    """End the step and with it the run, unless it reads one of several sources: the others go on.

    :param message: what happened and what to do; is shown to people
    :returns: ``False`` if the claim is no longer valid
    """
    if not _change_held(session, claim, StepEvent.FAIL, error_code=code, error=message):
        return False
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


def _advance(session: Session, run_id: uuid.UUID) -> None:
    """Make the steps ready that wait for nothing any more, and end the run after the last step.

    A failed step counts as ended here: it read one of several sources, or it would have ended the run.
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


def release_readers(session: Session, source_id: uuid.UUID, number: int) -> None:
    """Make the steps ready that waited until this revision of a source was read, or could not be.

    The caller has locked the source: a run that starts meanwhile has been seen, or sees the result.
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
        # As every change of a step does: two sources of one run may be read at the same moment.
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
    """Give the step back after a failed attempt. A worker takes it after ``delay`` seconds.

    :param error: what happened, if it was unexpected: people see it at the step until the next attempt
        ends. Without it, the provider failed in a way that may pass.
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
    """Record that this attempt has ended after another one took the step, or after the run was cancelled.

    An outage of the database can make a working worker look dead. With this record it does not count.
    """
    session.execute(
        update(Step)
        .where(Step.id == claim.step_id, Step.unreported > 0)
        .values(unreported=Step.unreported - 1)
    )


def hand_back(session: Session, step_id: uuid.UUID, job_id: int) -> None:
    """Give the step of this job back at once, because its worker is stopping."""
    given = session.scalar(
        change(
            StepEvent.HAND_BACK,
            Step.id == step_id,
            Step.job_id == job_id,
            epoch=Step.epoch + 1,
            unreported=Step.unreported - 1,
        ).returning(Step.id)
    )
    if given is not None:
        enqueue_step(session, step_id)


def adopt_orphans(session: Session, *, limit: int = 100) -> int:
    """Enqueue steps that are ready or running but have no job.

    Jobs are lost when the database goes away at the wrong moment.

    :returns: how many there were
    """
    orphans = session.execute(_ORPHANS, {"limit": limit, "formats": list(QUEUES)}).all()
    for step_id, unreported in orphans:
        session.execute(change(StepEvent.ADOPT, Step.id == step_id, epoch=Step.epoch + 1))
        # The first time at once, because most likely its worker was killed. A step that repeatedly
        # ends without a report waits longer each time.
        delay = min(2**unreported, MAX_ADOPTION_DELAY_S) if unreported > 1 else 0
        enqueue_step(session, step_id, delay=delay)
    return len(orphans)
