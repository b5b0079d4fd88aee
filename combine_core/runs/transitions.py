"""Defines the states of runs, steps and calls, and every transition between them.

`change` builds the UPDATE statement of a transition. It changes a row only if the row is in a state from
which the transition starts, so two processes cannot both make it. ``make docs/run-states.md`` generates
`docs/run-states.md` from these tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Update, func, update

from combine_core.runs.model import Call, CallState, Run, RunState, Step, StepState


@dataclass(frozen=True)
class Transition:
    """A transition from any of the states ``sources`` to the state ``target``."""

    sources: tuple[StrEnum, ...]
    target: StrEnum
    meaning: str


class RunEvent(Enum):
    """The events that change the state of a run."""

    SUCCEED = Transition((RunState.RUNNING,), RunState.SUCCEEDED, "All steps are done.")
    FAIL = Transition((RunState.RUNNING,), RunState.FAILED, "A step failed.")
    CANCEL = Transition(
        (RunState.RUNNING, RunState.WAITING, RunState.PAUSED),
        RunState.CANCELLED,
        "A person cancelled the run.",
    )


class StepEvent(Enum):
    """The events that change the state of a step."""

    UNBLOCK = Transition((StepState.PENDING,), StepState.READY, "The steps that it needs are done.")
    CLAIM = Transition(
        (StepState.READY, StepState.RUNNING),
        StepState.RUNNING,
        "A worker took the step. A running step is taken again only by its own job.",
    )
    RETRY = Transition(
        (StepState.RUNNING,), StepState.READY, "The attempt failed, and another one will follow."
    )
    HAND_BACK = Transition((StepState.RUNNING,), StepState.READY, "The worker is stopping.")
    ADOPT = Transition(
        (StepState.READY, StepState.RUNNING), StepState.READY, "The step had lost its job."
    )
    FINISH = Transition((StepState.RUNNING,), StepState.DONE, "The answer is stored.")
    FAIL = Transition((StepState.RUNNING,), StepState.FAILED, "No further attempt will be made.")
    SKIP = Transition(
        (StepState.PENDING, StepState.READY), StepState.CANCELLED, "Another step failed the run."
    )
    CANCEL = Transition(
        (StepState.PENDING, StepState.READY, StepState.RUNNING),
        StepState.CANCELLED,
        "A person cancelled the run.",
    )


class CallEvent(Enum):
    """The events that change the state of a call. A late answer to a lost call is still recorded."""

    ANSWER = Transition(
        (CallState.SENT, CallState.LOST), CallState.OK, "The provider gave an answer."
    )
    FAIL = Transition(
        (CallState.SENT, CallState.LOST), CallState.ERROR, "The provider gave an error."
    )
    LOSE = Transition(
        (CallState.SENT, CallState.LOST),
        CallState.LOST,
        "The attempt ended, and whether an answer came is unknown.",
    )


Event = RunEvent | StepEvent | CallEvent
_TABLES: dict[type[Event], type[Run | Step | Call]] = {
    RunEvent: Run,
    StepEvent: Step,
    CallEvent: Call,
}
# A row in one of these states has an end time.
ENDED = {
    RunState.SUCCEEDED,
    RunState.FAILED,
    RunState.CANCELLED,
    StepState.DONE,
    StepState.FAILED,
    StepState.CANCELLED,
    CallState.OK,
    CallState.ERROR,
    CallState.LOST,
}


def change(event: Event, *where: ColumnElement[bool], **values: Any) -> Update:
    """Return the UPDATE statement that makes this transition and sets ``values`` in the matching rows.

    A row whose state is not one of the transition's sources stays unchanged.
    """
    table, transition = _TABLES[type(event)], event.value
    if transition.target in ENDED:
        values["ended_at"] = func.now()
    return (
        update(table)
        .where(table.state.in_(transition.sources), *where)
        .values(state=transition.target, **values)
    )


_INITIAL = {
    RunEvent: ((RunState.RUNNING, "started"),),
    StepEvent: (
        (StepState.PENDING, "needs other steps"),
        (StepState.READY, "needs no other step"),
    ),
    CallEvent: ((CallState.SENT, "about to be sent"),),
}
_HEADER = """# The states of runs, steps and calls

Every change of a state is one of these transitions. This page is written from the tables in
`combine_core/runs/transitions.py`: `make docs/run-states.md`.
"""


def document() -> str:
    """Return the Markdown page on the states, with a diagram and a table for each table of the database."""
    return _HEADER + "".join(
        f"\n## {table.__tablename__.capitalize()}\n\n{_diagram(events)}\n{_table(events)}"
        for events, table in _TABLES.items()
    )


def _diagram(events: type[Event]) -> str:
    arrows = [f"    [*] --> {state}: {reason}" for state, reason in _INITIAL[events]]
    arrows += [
        f"    {source} --> {event.value.target}: {_name(event)}"
        for event in events
        for source in event.value.sources
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", *arrows, "```", ""])


def _table(events: type[Event]) -> str:
    rows: Iterable[str] = (
        f"| {_name(event)} | {', '.join(event.value.sources)} | {event.value.target}"
        f" | {event.value.meaning} |"
        for event in events
    )
    return "\n".join(["| Event | From | To | Meaning |", "| --- | --- | --- | --- |", *rows, ""])


def _name(event: Event) -> str:
    return event.name.lower().replace("_", " ")
