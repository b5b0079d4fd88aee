"""Reads the journal of calls and sums its tokens and costs by run, by step and by month of a project."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session, contains_eager

from combine_core.database import Page, any_key, as_text, fetch, paginate
from combine_core.runs.model import Call, CallState, Run

# The currency of all costs.
CURRENCY = "USD"
MAX_COST_ROWS = 1000


@dataclass(frozen=True)
class CallSums:
    """The sums of some calls to language models. Answers of an offline provider are not counted.

    :ivar failed_calls: calls that ended without a usable answer
    :ivar unanswered_calls: calls without an answer so far; they may have been charged
    :ivar input_tokens: including cached tokens
    :ivar cost: US dollars, for the calls with a known price; ``None`` if no call has one
    :ivar unpriced_calls: calls that were charged at an unknown price
    """

    calls: int = 0
    failed_calls: int = 0
    unanswered_calls: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = field(default=Decimal(0))
    unpriced_calls: int = 0

    @property
    def uncertain_calls(self) -> int:
        """Return the number of calls that make the cost a lower bound."""
        return self.unpriced_calls + self.unanswered_calls


@dataclass(frozen=True)
class MonthlyCost:
    """The calls of a month, of one model or of all models.

    :ivar month: the month in UTC, such as ``2026-11``
    :ivar provider: ``None``, like ``model``, in the sum of the whole month
    """

    month: str
    provider: str | None
    model: str | None
    sums: CallSums


@dataclass(frozen=True)
class Costs:
    """The costs of a project from the day ``first`` up to, but not including, the day ``until``.

    :ivar models: the sums by month and model, with the newest month first
    :ivar complete: ``False`` if ``models`` was cut off after ``MAX_COST_ROWS``
    :ivar months: the sums of the months in ``models``
    :ivar total: the sum of all calls, even if ``models`` is not complete
    """

    first: datetime.date
    until: datetime.date | None
    models: Sequence[MonthlyCost]
    complete: bool
    months: Sequence[MonthlyCost]
    total: CallSums


def list_calls(
    session: Session,
    run_id: uuid.UUID,
    *,
    sort: str = "created_at",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Call]:
    """List the calls of a run with their steps, without prompts and answers."""
    statement = (
        select(Call).join(Call.step).options(contains_eager(Call.step)).where(Call.run_id == run_id)
    )
    return paginate(session, statement, Call.id, sort=sort, cursor=cursor, limit=limit)


def find_call(session: Session, run_id: uuid.UUID, call_id: uuid.UUID) -> Call | None:
    """Return a call of this run with its step, without prompt and answer."""
    return session.scalars(
        select(Call)
        .join(Call.step)
        .options(contains_eager(Call.step))
        .where(Call.id == call_id, Call.run_id == run_id)
    ).first()


def read_texts(session: Session, call: Call, before_texts: Callable[[int], None]) -> None:
    """Load ``call.request`` and ``call.response``. Both are ``None`` if the texts were deleted.

    :param before_texts: called with the size in bytes before the texts are read; may raise
    """
    request_size = func.octet_length(cast(Call.request, Text))
    size = func.coalesce(request_size, 0) + func.coalesce(func.octet_length(Call.response), 0)
    before_texts(session.scalars(select(size).where(Call.id == call.id)).one())
    session.refresh(call, ["request", "response"])


def sums_of_runs(session: Session, run_ids: Sequence[str]) -> dict[str, CallSums]:
    """Sum the calls of each of these runs. Runs without calls are omitted."""
    found = fetch(session, _SUMS_OF_RUNS, run_ids=list(run_ids))
    return {row[0]: CallSums(*row[1:]) for row in found}


def sums_of_run(session: Session, run_id: uuid.UUID) -> CallSums:
    """Sum the calls of this run."""
    return sums_of_runs(session, [str(run_id)]).get(str(run_id), CallSums())


def sums_of_steps(session: Session, run_id: uuid.UUID) -> dict[uuid.UUID, CallSums]:
    """Sum the calls of each step of the run. Steps without calls are omitted."""
    found = fetch(session, _SUMS_OF_STEPS, run_id=run_id)
    return {row[0]: CallSums(*row[1:]) for row in found}


def costs_of_project(
    session: Session,
    project_id: uuid.UUID,
    *,
    first: datetime.date | None = None,
    until: datetime.date | None = None,
) -> Costs:
    """Sum the calls of a project by month and model, in UTC.

    :param first: the first day; by default, the first day of the month eleven months ago
    :param until: the day after the last one
    """
    first = first or _twelve_months(datetime.datetime.now(datetime.UTC).date())
    conditions = [Run.project_id == project_id, Call.created_at >= _midnight(first), _IS_CALL]
    if until is not None:
        conditions.append(Call.created_at < _midnight(until))
    columns = (_MONTH, Call.provider, Call.model)
    grouped = func.grouping_sets(tuple_(*columns), tuple_(_MONTH), tuple_())
    rows = session.execute(
        select(*columns, *_FIGURES)
        .join(Run, Run.id == Call.run_id)
        .where(*conditions)
        .group_by(grouped)
        # The total comes first, then each month: its sum, then its models.
        .order_by(
            _MONTH.desc().nulls_first(), Call.provider.nulls_first(), Call.model.nulls_first()
        )
        .limit(MAX_COST_ROWS + 1)
    ).all()
    # Even without calls, the result has the row of the total.
    total, *rest = rows[:MAX_COST_ROWS]
    entries = [MonthlyCost(row[0], row[1], row[2], CallSums(*row[3:])) for row in rest]
    return Costs(
        first,
        until,
        models=[entry for entry in entries if entry.model is not None],
        complete=len(rows) <= MAX_COST_ROWS,
        months=[entry for entry in entries if entry.model is None],
        total=CallSums(*total[3:]),
    )


def _twelve_months(today: datetime.date) -> datetime.date:
    """Return the first day of the twelve months that end with the current month."""
    years, month = divmod(today.month, 12)
    return datetime.date(today.year - 1 + years, month + 1, 1)


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC)


_IS_CALL = Call.used_llm.is_not(False)
# Literals, because PostgreSQL does not recognize two parameters as the same expression in GROUP BY.
_MONTH = func.to_char(
    func.timezone(literal_column("'UTC'"), Call.created_at), literal_column("'YYYY-MM'")
)


def _figures() -> list[ColumnElement[Any]]:
    unanswered = Call.state.in_([CallState.SENT, CallState.LOST])
    # A call with tokens was answered and therefore charged.
    unpriced = and_(Call.cost.is_(None), Call.output_tokens.is_not(None))
    uncertain = func.count().filter(or_(unanswered, unpriced))
    return [
        func.count(),
        func.count().filter(Call.state.in_([CallState.ERROR, CallState.LOST])),
        func.count().filter(unanswered),
        *(
            func.coalesce(func.sum(tokens), 0)
            for tokens in (
                Call.input_tokens,
                Call.cache_read_tokens,
                Call.cache_write_tokens,
                Call.output_tokens,
            )
        ),
        case(
            (and_(func.count(Call.cost) == 0, uncertain > 0), None),
            else_=func.coalesce(func.sum(Call.cost), Decimal(0)),
        ),
        func.count().filter(unpriced),
    ]


_FIGURES = _figures()


_SUMS_OF_RUNS = (
    select(as_text(Call.run_id), *_FIGURES)
    .where(Call.run_id == any_key("run_ids"), _IS_CALL)
    .group_by(Call.run_id)
)
_SUMS_OF_STEPS = (
    select(Call.step_id, *_FIGURES)
    .where(Call.run_id == bindparam("run_id"), _IS_CALL)
    .group_by(Call.step_id)
)
