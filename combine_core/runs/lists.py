"""Lists runs with their steps and sources. The compiled queries are reused."""

from __future__ import annotations

import functools
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TypeVar

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from combine_core.database import NEWEST_FIRST, AnySelect, ListQuery, Page, any_key, as_text, fetch
from combine_core.lines import LineVersion
from combine_core.runs.model import Run, RunSource, Step


class ListedRun(NamedTuple):
    """A run in a list: some columns of :class:`Run`, with the id as text.

    :ivar line: the name of the line
    """

    id: str
    line: str
    model: str
    state: str
    cost: Decimal
    unpriced_calls: int
    error: str | None
    error_code: str | None
    created_at: datetime
    ended_at: datetime | None


class ListedStep(NamedTuple):
    """A step of a run: some columns of :class:`Step`."""

    key: str
    title: str
    state: str
    started_at: datetime | None
    ended_at: datetime | None
    error: str | None
    error_code: str | None


class RunInput(NamedTuple):
    """A source of a run, with its id as text."""

    source_id: str
    revision: int | None


Part = TypeVar("Part", ListedStep, RunInput)

_RUNS = select(
    as_text(Run.id), LineVersion.name, *(getattr(Run, name) for name in ListedRun._fields[2:])
).join(Run.line_version)
_RUN = _RUNS.where(Run.id == bindparam("id"))
_STEPS = (
    select(as_text(Step.run_id), *(getattr(Step, name) for name in ListedStep._fields))
    .where(Step.run_id == any_key("run_ids"))
    .order_by(Step.run_id, Step.position)
)
_INPUTS = (
    select(as_text(RunSource.run_id), as_text(RunSource.source_id), RunSource.revision)
    .where(RunSource.run_id == any_key("run_ids"))
    .order_by(RunSource.run_id, RunSource.position)
)


@functools.cache
def _filtered_runs(names: frozenset[str]) -> ListQuery[ListedRun]:
    """Return the list of runs with a condition for each of these names."""
    columns = {"state": Run.state, "line": LineVersion.name}
    conditions = [columns[name] == bindparam(name) for name in sorted(names)]
    of_project = Run.project_id == bindparam("project_id")
    return ListQuery(ListedRun, _RUNS.where(of_project, *conditions), Run.id)


def list_runs(
    session: Session,
    project_id: uuid.UUID,
    *,
    state: str | None = None,
    line: str | None = None,
    sort: str = NEWEST_FIRST,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[ListedRun]:
    """List the runs of a project.

    :param state: list only the runs in this state
    :param line: list only the runs of the line with this name
    """
    filters = {
        name: value for name, value in {"state": state, "line": line}.items() if value is not None
    }
    return _filtered_runs(frozenset(filters)).page(
        session, sort=sort, cursor=cursor, limit=limit, project_id=project_id, **filters
    )


def find_run(session: Session, run_id: uuid.UUID) -> ListedRun | None:
    """Return one run in the form that :func:`list_runs` returns."""
    row = fetch(session, _RUN, id=run_id).first()
    return None if row is None else ListedRun._make(row)


def steps_of_runs(session: Session, run_ids: Sequence[str]) -> Mapping[str, list[ListedStep]]:
    """Return the ordered steps of each of these runs."""
    return _by_run(session, _STEPS, run_ids, ListedStep)


def inputs_of_runs(session: Session, run_ids: Sequence[str]) -> Mapping[str, list[RunInput]]:
    """Return the ordered sources of each of these runs."""
    return _by_run(session, _INPUTS, run_ids, RunInput)


def _by_run(
    session: Session, statement: AnySelect, run_ids: Sequence[str], part: type[Part]
) -> Mapping[str, list[Part]]:
    found: defaultdict[str, list[Part]] = defaultdict(list)
    for row in fetch(session, statement, run_ids=list(run_ids)):
        found[row[0]].append(part._make(row[1:]))
    return found
