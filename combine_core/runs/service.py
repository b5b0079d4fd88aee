"""Starts, cancels, lists and reads runs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from sqlalchemy import func, select
from sqlalchemy.orm import Session, contains_eager, selectinload

from combine_core.lines import Line, find_line, store_version
from combine_core.llm import ProviderRegistry
from combine_core.runs.assignment import part_key, reading_key, split_key
from combine_core.runs.estimate import Estimate, estimate
from combine_core.runs.jobs import enqueue_step
from combine_core.runs.model import Run, RunSource, RunState, Step, StepState
from combine_core.runs.portions import ModelLimits
from combine_core.runs.questions import ContextTooSmall
from combine_core.runs.transitions import RunEvent, StepEvent, change
from combine_core.sources import ReadingState, Source, pin_revisions

# With this many unfinished runs, a new run is rejected. It would wait for hours.
MAX_LIVE_RUNS = 1000


class InvalidRun(ValueError):
    """A request for a run that cannot start. ``field`` names the invalid field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class QueueFull(Exception):
    """Raised when too many runs are unfinished."""


def start_run(
    session: Session,
    project_id: uuid.UUID,
    line_name: str,
    source_ids: Sequence[uuid.UUID],
    requested_by: uuid.UUID,
    *,
    model: str,
    providers: ProviderRegistry,
    limits: ModelLimits = ModelLimits(),  # noqa: B008 - frozen
) -> Run:
    """Start a run of a line on sources of the project. The caller's transaction stores the rows and jobs.

    :param model: such as ``extract`` or ``anthropic/claude-sonnet-5-5``
    :raises UnknownLine: if no line has this name
    :raises UnknownModel: if no provider has this model, or the provider has no API key
    :raises InvalidRun: if there are no sources or too many, a source is not in this project, or the model's
        context is too small for the line
    :raises QueueFull: if too many runs are unfinished
    """
    line = find_line(line_name)
    source_ids = list(dict.fromkeys(source_ids))
    sources = _check_sources(session, project_id, line, source_ids)
    _estimate(session, line, source_ids, model, providers, limits)
    _refuse_when_full(session)
    revisions = pin_revisions(session, sources)

    run = Run(
        project_id=project_id,
        line_version_id=store_version(session, line),
        model=model,
        state=RunState.RUNNING,
        requested_by=requested_by,
    )
    session.add(run)
    session.flush()
    session.add_all(
        RunSource(
            run_id=run.id,
            position=position,
            source_id=source.id,
            revision=revisions[source.id].number,
        )
        for position, source in enumerate(sources, 1)
    )
    reading = {
        f"S{position}"
        for position, source in enumerate(sources, 1)
        if revisions[source.id].is_unread
    }
    steps = _steps(run.id, line, [source.name for source in sources], reading)
    session.add_all(steps)
    session.flush()
    for step in steps:
        if step.state == StepState.READY:
            enqueue_step(session, step.id)
    return run


def estimate_run(
    session: Session,
    project_id: uuid.UUID,
    line_name: str,
    source_ids: Sequence[uuid.UUID],
    *,
    model: str,
    providers: ProviderRegistry,
    limits: ModelLimits,
) -> Estimate:
    """Estimate the size and cost of a run. Raise the same errors as :func:`start_run`, except QueueFull."""
    line = find_line(line_name)
    source_ids = list(dict.fromkeys(source_ids))
    _check_sources(session, project_id, line, source_ids)
    return _estimate(session, line, source_ids, model, providers, limits)


def _estimate(
    session: Session,
    line: Line,
    source_ids: Sequence[uuid.UUID],
    model: str,
    providers: ProviderRegistry,
    limits: ModelLimits,
) -> Estimate:
    try:
        return estimate(session, line, source_ids, model=model, providers=providers, limits=limits)
    except ContextTooSmall as error:
        raise InvalidRun("model", str(error)) from error


def _check_sources(
    session: Session, project_id: uuid.UUID, line: Line, source_ids: Sequence[uuid.UUID]
) -> list[Source]:
    """Return the sources in the requested order, or raise :class:`InvalidRun`."""
    if not source_ids:
        raise InvalidRun("sources", "Name at least one source.")
    max_sources = line.limits.max_sources
    if len(source_ids) > max_sources:
        message = (
            f"{len(source_ids)} sources are too many: the line {line.name} takes {max_sources}."
        )
        raise InvalidRun("sources", message)
    in_project = (Source.project_id == project_id, Source.id.in_(source_ids))
    known = {found.id: found for found in session.scalars(select(Source).where(*in_project))}
    missing = [str(source_id) for source_id in source_ids if source_id not in known]
    if missing:
        raise InvalidRun("sources", f"Not in this project: {', '.join(missing)}.")
    sources = [known[source_id] for source_id in source_ids]
    unread = [source.name for source in sources if source.state == ReadingState.FAILED]
    if unread:
        message = f"Could not be read: {', '.join(unread)}. Leave them out, or add a file that can be read."
        raise InvalidRun("sources", message)
    return sources


def _steps(
    run_id: uuid.UUID, line: Line, names: Sequence[str], reading: AbstractSet[str]
) -> list[Step]:
    """Return the rows of the line's steps.

    A step that reads each source separately has one row for each source.

    :param reading: the labels of the sources that a worker still has to read. The steps wait for them.
    """
    parts = {
        step.key: [
            (part_key(step.key, f"S{number}"), f"{step.title}: {name}")
            for number, name in enumerate(names, 1)
        ]
        if step.each == "source" and len(names) > 1
        else [(step.key, step.title)]
        for step in line.steps
    }
    rows = [(step, key, title) for step in line.steps for key, title in parts[step.key]]
    steps = []
    for position, (step, key, title) in enumerate(rows, 1):
        needs = [key for need in step.needs for key, _ in parts[need]]
        label = split_key(key)[1]
        if not step.needs:
            needs += sorted(reading_key(unread) for unread in reading if label in (None, unread))
        steps.append(
            Step(
                run_id=run_id,
                key=key,
                position=position,
                title=title,
                needs=needs,
                state=StepState.PENDING if needs else StepState.READY,
                line_format=line.format,
            )
        )
    return steps


def _refuse_when_full(session: Session) -> None:
    live = select(Run.id).where(Run.state == RunState.RUNNING).limit(MAX_LIVE_RUNS).subquery()
    if session.scalar(select(func.count()).select_from(live)) == MAX_LIVE_RUNS:
        raise QueueFull(f"{MAX_LIVE_RUNS} runs have not ended yet. Try again later.")


def cancel_run(session: Session, run_id: uuid.UUID) -> bool:
    """Cancel an unfinished run. Calls in flight are not awaited; their answers are dropped.

    :returns: whether the run was unfinished
    """
    cancel = change(RunEvent.CANCEL, Run.id == run_id)
    if session.scalar(cancel.returning(Run.id)) is None:
        return False
    session.execute(change(StepEvent.CANCEL, Step.run_id == run_id))
    return True


def read_run(session: Session, run_id: uuid.UUID) -> Run | None:
    """Return a run with its line's name, its steps and its sources (without their texts)."""
    return session.scalars(
        select(Run)
        .join(Run.line_version)
        .options(
            contains_eager(Run.line_version),
            selectinload(Run.steps),
            selectinload(Run.inputs).joinedload(RunSource.source),
        )
        .where(Run.id == run_id)
    ).first()
