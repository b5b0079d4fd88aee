"""Tests that workers process long sources in subprocesses, and that a killed one costs only an attempt."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from combine_core.llm import Completion, CompletionRequest, ProviderRegistry
from combine_core.llm.extract import ExtractProvider
from combine_core.llm.offline import LONG_TEXT
from combine_core.runs import CallState, Run, RunState, Step, StepState, start_run
from combine_core.runs import execute as execute_module
from combine_core.settings.core import CoreSettings
from combine_core.sources import add_source
from tests.functional.runs.conftest import TEXT, Place
from tests.functional.runs.test_worker import calls_of, ended, steps_of, working

pytestmark = pytest.mark.usefixtures("frequent_polling")

Sessions = sessionmaker[Session]


class Mortal(ExtractProvider):
    """Kills its process unless the file exists. The first process creates the file if it may recover."""

    def __init__(self, file: Path, *, recovers: bool) -> None:
        self._file = file
        self._recovers = recovers
        self._worker = os.getpid()

    def complete(self, request: CompletionRequest) -> Completion:
        if os.getpid() != self._worker and not self._file.exists():
            if self._recovers:
                self._file.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().complete(request)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute_module, "MAX_DELAY_S", 0.05)
    monkeypatch.setattr(execute_module, "MAX_FAILURES", 2)


@pytest.fixture
def long_source(sessions: Sessions, place: Place) -> uuid.UUID:
    text = TEXT + "\nThe oven in the north hall ran without a stop.\n" * (LONG_TEXT // 40)
    with sessions.begin() as session:
        return add_source(session, place.project_id, "long.md", text, place.user_id).id


def started(
    sessions: Sessions, place: Place, source: uuid.UUID, providers: ProviderRegistry
) -> Run:
    with sessions.begin() as session:
        return start_run(
            session,
            place.project_id,
            "brief",
            [source],
            place.user_id,
            model="extract",
            providers=providers,
        )


def registry_of(provider: ExtractProvider) -> ProviderRegistry:
    registry = ProviderRegistry()
    registry.register(provider, takes_model=False)
    return registry


def test_a_killed_process_is_retried(
    settings: CoreSettings, sessions: Sessions, place: Place, long_source: uuid.UUID, tmp_path: Path
) -> None:
    providers = registry_of(Mortal(tmp_path / "died", recovers=True))
    run = started(sessions, place, long_source, providers)
    with working(settings, providers):
        assert ended(sessions, run).state == RunState.SUCCEEDED
    step = steps_of(sessions, run)["facts"]
    assert (step.state, step.failures, step.errors) == (StepState.DONE, 1, 0)
    with sessions() as session:
        answer = session.scalars(select(Step.answer).where(Step.id == step.id)).one()
    assert answer is not None
    decisions = [fact for fact in answer["facts"] if fact["kind"] == "decision"]
    assert [fact["verdict"] for fact in decisions] == ["supported"]
    calls = [(call.state, call.error_code) for call in calls_of(sessions, run)]
    assert calls[:2] == [(CallState.ERROR, "server_error"), (CallState.OK, None)]


@pytest.mark.slow
def test_a_process_that_is_always_killed_fails_the_step(
    settings: CoreSettings, sessions: Sessions, place: Place, long_source: uuid.UUID, tmp_path: Path
) -> None:
    providers = registry_of(Mortal(tmp_path / "died", recovers=False))
    run = started(sessions, place, long_source, providers)
    with working(settings, providers):
        failed = ended(sessions, run)
    assert (failed.state, failed.error_code) == (RunState.FAILED, "server_error")
    assert "was killed (signal 9)" in (failed.error or "")
    assert "give the worker more memory" in (failed.error or "")
    assert len(calls_of(sessions, run)) == execute_module.MAX_FAILURES + 1
