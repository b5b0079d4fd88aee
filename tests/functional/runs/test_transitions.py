"""Tests that each event changes exactly the rows in its table, and ``docs/run-states.md`` shows the
tables."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from combine_core.database import new_id
from combine_core.runs import Call, CallState, Run, RunState, Step, StepState
from combine_core.runs.transitions import (
    ENDED,
    CallEvent,
    Event,
    RunEvent,
    StepEvent,
    change,
    document,
)
from tests.functional.runs.conftest import StartRun

PAGE = Path(__file__).parents[3] / "docs/run-states.md"
MACHINES = ((RunEvent, RunState), (StepEvent, StepState), (CallEvent, CallState))
# The allowed start states of each event, repeated here so that the tables cannot change by
# accident.
STARTS: dict[Event, str] = {
    RunEvent.SUCCEED: "running",
    RunEvent.FAIL: "running",
    RunEvent.CANCEL: "running waiting paused",
    StepEvent.UNBLOCK: "pending",
    StepEvent.CLAIM: "ready running",
    StepEvent.RETRY: "running",
    StepEvent.HAND_BACK: "running",
    StepEvent.ADOPT: "ready running",
    StepEvent.FINISH: "running",
    StepEvent.FAIL: "running",
    StepEvent.SKIP: "pending ready",
    StepEvent.CANCEL: "pending ready running",
    CallEvent.ANSWER: "sent lost",
    CallEvent.FAIL: "sent lost",
    CallEvent.LOSE: "sent lost",
}


def test_an_event_changes_only_rows_in_its_states(
    sessions: sessionmaker[Session], start: StartRun
) -> None:
    run = start()
    with sessions.begin() as session:
        step_id = session.query(Step.id).filter_by(run_id=run.id, key="facts").scalar()
        call = Call(
            id=new_id(),
            run_id=run.id,
            step_id=step_id,
            sequence=1,
            epoch=1,
            provider="extract",
            model="extract",
            request_sha256="",
            request={},
        )
        session.add(call)
        session.flush()
        rows = {RunEvent: (Run, run.id), StepEvent: (Step, step_id), CallEvent: (Call, call.id)}
        for events, states in MACHINES:
            table, row_id = rows[events]
            for event, state in product(events, states):
                session.execute(
                    update(table).where(table.id == row_id).values(state=state, ended_at=None)
                )
                changed = session.scalar(change(event, table.id == row_id).returning(table.id))
                now, ended_at = (
                    session.query(table.state, table.ended_at).filter_by(id=row_id).one()
                )
                assert (changed is not None) == (state in STARTS[event].split()), (event, state)
                assert now == (event.value.target if changed else state), (event, state)
                assert (ended_at is not None) == bool(changed and now in ENDED), (event, state)


@pytest.mark.parametrize(("events", "states"), MACHINES, ids=["run", "step", "call"])
def test_an_ended_row_never_changes(
    events: type[Event], states: type[RunState | StepState | CallState]
) -> None:
    final = {state for state in states if state in ENDED} - {CallState.LOST}
    assert final
    for event in events:
        assert not final.intersection(event.value.sources), event


def test_the_page_shows_the_tables() -> None:
    assert PAGE.read_text() == document(), "run: make docs/run-states.md"
