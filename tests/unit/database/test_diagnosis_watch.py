"""Tests the reports of the watch before, during and after a diagnosis."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import URL

from combine_core.postgres.diagnosis import Cause, Diagnosis, Watch
from combine_core.postgres.diagnosis import watch as watch_module

FOUND = Diagnosis(Cause.MISSING, "Found out.")


@pytest.fixture
def refused() -> URL:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return _url(listener.getsockname()[1])


@pytest.fixture
def silent() -> Iterator[URL]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield _url(listener.getsockname()[1])


def _url(port: int) -> URL:
    return URL.create("postgresql+psycopg2", "combine", "canary", "127.0.0.1", port, "combine")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"


class Diagnoser:
    """Finds ``FOUND`` once the gate is open, and counts its calls."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.calls = 0
        self.under_way = 0
        self.finds = FOUND

    def __call__(self, _url: URL, _budget: float) -> Diagnosis:
        self.calls += 1
        self.under_way += 1
        self.gate.wait(30)
        self.under_way -= 1
        return self.finds


def test_a_quick_diagnosis_is_in_the_first_report(refused: URL) -> None:
    diagnoser = Diagnoser()
    diagnoser.gate.set()
    assert Watch(refused, diagnose=diagnoser).check() == FOUND


def test_a_slow_diagnosis_is_in_a_later_report(
    refused: URL, caplog: pytest.LogCaptureFixture
) -> None:
    diagnoser = Diagnoser()
    watch = Watch(refused, diagnose=diagnoser)
    for _ in range(3):
        found = watch.check()
        assert found is not None
        assert found.cause is Cause.REFUSED
    assert (diagnoser.calls, diagnoser.under_way) == (1, 1)

    def said() -> list[str]:
        # Services of other tests in this process may log their health meanwhile.
        return [
            f"{record.levelname} {record.getMessage()}"
            for record in caplog.records
            if record.name.startswith("combine_core")
        ]

    assert said() == []
    diagnoser.gate.set()
    until(lambda: watch.check() == FOUND)
    [message] = said()
    assert message.startswith("ERROR")
    assert "DB_MISSING" in message
    assert "2. Check DATABASE_URL format." in message
    assert watch.check() == FOUND
    assert len(said()) == 1
    assert diagnoser.calls == 1


def test_silence_is_reported_before_the_deadline_of_the_check(silent: URL) -> None:
    diagnoser = Diagnoser()
    watch = Watch(silent, diagnose=diagnoser)
    threads = threading.active_count()
    for _ in range(3):
        found = watch.check()
        assert found is not None
        assert found.cause is Cause.TIMEOUT
    assert threading.active_count() <= threads + 2
    diagnoser.gate.set()


def test_an_empty_diagnosis_keeps_the_original_error(refused: URL) -> None:
    diagnoser = Diagnoser()
    diagnoser.finds = Diagnosis(Cause.REACHABLE, "It works.")
    diagnoser.gate.set()
    found = Watch(refused, diagnose=diagnoser).check()
    assert found is not None
    assert found.cause is Cause.REFUSED


def test_a_continuing_fault_is_diagnosed_again(
    refused: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    diagnoser = Diagnoser()
    diagnoser.gate.set()
    watch = Watch(refused, diagnose=diagnoser)
    assert watch.check() == FOUND
    assert watch.check() == FOUND
    assert diagnoser.calls == 1
    monkeypatch.setattr(watch_module, "CONCLUSIVE_S", 0.0)
    diagnoser.finds = Diagnosis(Cause.AUTH_FAILED, "Another.")
    until(lambda: watch.check() == diagnoser.finds)
