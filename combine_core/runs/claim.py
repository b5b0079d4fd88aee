"""Who works on a step: claim it, end it, give it back. The step's row decides.

Every claim counts the row's ``epoch`` up, and every later change names the epoch of its claim. An attempt
that was given up for dead and comes back late carries an older epoch: it changes nothing.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, or_, select, text, update
from sqlalchemy.orm import Session, undefer

from combine_core.documents import Origin, write_version
from combine_core.lines import Line, WriteStep, read_version
from combine_core.providers import Material
from combine_core.runs.jobs import enqueue_step
from combine_core.runs.model import Call, CallState, Run, RunSource, RunState, Step, StepState
from combine_core.sources import Source

_ORPHANS = text(
    """
    SELECT steps.id FROM steps
    WHERE steps.state IN ('ready', 'running')
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
    """A step that this process may work on, with all it needs; no part of it hangs on a session."""

    step_id: uuid.UUID
    run_id: uuid.UUID
    project_id: uuid.UUID
    epoch: int
    failures: int
    model: str
    line: Line
    line_version_id: uuid.UUID
    step: WriteStep
    sources: dict[str, Source]
    inputs: dict[str, Any]

    @property
    def materials(self) -> tuple[Material, ...]:
        """The sources as a provider sees them."""
        return tuple(
            Material(label, str(source.id), source.name, source.text)
            for label, source in self.sources.items()
        )


def claim_step(session: Session, step_id: uuid.UUID, job_id: int) -> Claim | None:
    """Take the step if it is ready, or if this very job had it before and was given up for dead.

    :returns: ``None`` when there is nothing to do for this job
    """
    claimed = session.execute(
        update(Step)
        .where(
            Step.id == step_id,
            or_(
                Step.state == StepState.READY,
                and_(Step.state == StepState.RUNNING, Step.job_id == job_id),
            ),
            Step.run_id == Run.id,
            Run.state == RunState.RUNNING,
        )
        .values(
            state=StepState.RUNNING,
            epoch=Step.epoch + 1,
            job_id=job_id,
            started_at=func.coalesce(Step.started_at, func.now()),
        )
        .returning(
            Step.run_id,
            Step.key,
            Step.epoch,
            Step.failures,
            Run.project_id,
            Run.model,
            Run.line_version_id,
        )
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if claimed is None:
        return None
    # What an earlier attempt sent and never recorded: whether it was answered is not known.
    session.execute(
        update(Call)
        .where(Call.step_id == step_id, Call.state == CallState.SENT)
        .values(state=CallState.LOST, ended_at=func.now())
    )
    line = read_version(session, claimed.line_version_id)
    step = line.step(claimed.key)
    answers = session.execute(
        select(Step.key, Step.answer).where(Step.run_id == claimed.run_id, Step.key.in_(step.needs))
    )
    sources = session.scalars(
        select(Source)
        .join(RunSource, RunSource.source_id == Source.id)
        .options(undefer(Source.text))
        .where(RunSource.run_id == claimed.run_id)
        .order_by(RunSource.position)
    )
    return Claim(
        step_id=step_id,
        run_id=claimed.run_id,
        project_id=claimed.project_id,
        epoch=claimed.epoch,
        failures=claimed.failures,
        model=claimed.model,
        line=line,
        line_version_id=claimed.line_version_id,
        step=step,
        sources={f"S{number}": source for number, source in enumerate(sources, 1)},
        inputs={row.key: row.answer for row in answers},
    )


def holds(session: Session, claim: Claim) -> bool:
    """Whether the claim is still good; locks the run, so that it stays good until the commit."""
    state = session.scalar(select(Run.state).where(Run.id == claim.run_id).with_for_update())
    held = session.scalar(
        select(Step.id).where(
            Step.id == claim.step_id,
            Step.epoch == claim.epoch,
            Step.state == StepState.RUNNING,
        )
    )
    return state == RunState.RUNNING and held is not None


def finish_step(session: Session, claim: Claim, answer: dict[str, Any], *, used_llm: bool) -> bool:
    """Store the answer (and the document), make the next steps ready, end the run after the last.

    :returns: ``False`` if the claim is no longer good; then nothing is stored
    """
    if not holds(session, claim):
        return False
    session.execute(
        update(Step)
        .where(Step.id == claim.step_id)
        .values(state=StepState.DONE, answer=answer, used_llm=used_llm, ended_at=func.now())
    )
    if claim.step.document is not None:
        used_before = session.scalar(
            select(func.bool_or(Step.used_llm)).where(Step.run_id == claim.run_id)
        )
        write_version(
            session,
            claim.project_id,
            answer,
            claim.sources,
            Origin(
                run_id=claim.run_id,
                line=claim.line,
                line_version_id=claim.line_version_id,
                step=claim.step,
                model=claim.model,
                used_llm=bool(used_before),
            ),
        )
    steps = list(session.scalars(select(Step).where(Step.run_id == claim.run_id)))
    done = {step.key for step in steps if step.state == StepState.DONE}
    for step in steps:
        if step.state == StepState.PENDING and done.issuperset(step.needs):
            step.state = StepState.READY
            enqueue_step(session, step.id)
    if len(done) == len(steps):
        session.execute(
            update(Run)
            .where(Run.id == claim.run_id)
            .values(state=RunState.SUCCEEDED, ended_at=func.now())
        )
    return True


def fail_step(session: Session, claim: Claim, code: str, message: str) -> bool:
    """End the step and with it the run.

    :param message: what happened and what to do; is shown to people
    :returns: ``False`` if the claim is no longer good
    """
    if not holds(session, claim):
        return False
    session.execute(
        update(Step)
        .where(Step.id == claim.step_id)
        .values(state=StepState.FAILED, error_code=code, error=message, ended_at=func.now())
    )
    session.execute(
        update(Step)
        .where(Step.run_id == claim.run_id, Step.state.in_([StepState.PENDING, StepState.READY]))
        .values(state=StepState.CANCELLED, ended_at=func.now())
    )
    session.execute(
        update(Run)
        .where(Run.id == claim.run_id)
        .values(
            state=RunState.FAILED,
            error_code=code,
            error=f"{claim.step.title}: {message}",
            ended_at=func.now(),
        )
    )
    return True


def postpone_step(session: Session, claim: Claim, delay: float) -> bool:
    """Give the step back after a failure that may pass; a worker takes it in ``delay`` seconds.

    :returns: ``False`` if the claim is no longer good
    """
    if not holds(session, claim):
        return False
    session.execute(
        update(Step)
        .where(Step.id == claim.step_id)
        .values(state=StepState.READY, failures=Step.failures + 1)
    )
    enqueue_step(session, claim.step_id, delay=delay)
    return True


def hand_back(session: Session, step_id: uuid.UUID, job_id: int) -> None:
    """Give the step of this job back at once: the worker that has it is stopping."""
    given = session.scalar(
        update(Step)
        .where(Step.id == step_id, Step.job_id == job_id, Step.state == StepState.RUNNING)
        .values(state=StepState.READY, epoch=Step.epoch + 1)
        .returning(Step.id)
    )
    if given is not None:
        enqueue_step(session, step_id)


def adopt_orphans(session: Session, *, limit: int = 100) -> int:
    """Enqueue steps that nobody will come for: ready or running, and no job speaks of them.

    Jobs are lost when the database goes away at the wrong moment.

    :returns: how many there were
    """
    orphans = session.execute(_ORPHANS, {"limit": limit}).scalars().all()
    for step_id in orphans:
        session.execute(
            update(Step)
            .where(Step.id == step_id)
            .values(state=StepState.READY, epoch=Step.epoch + 1)
        )
        enqueue_step(session, step_id)
    return len(orphans)
