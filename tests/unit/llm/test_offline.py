"""Tests that long texts are processed in subprocesses, which may fail in every possible way."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from decimal import Decimal
from typing import Literal

import psutil
import pytest

from combine_core import child_process
from combine_core.llm import Completion, CompletionRequest, Material, ProviderError, Usage, offline
from combine_core.llm.extract import ExtractProvider
from combine_core.llm.offline import LONG_TEXT, compute, compute_here

ITEM = {
    "type": "object",
    "required": ["text", "evidence"],
    "properties": {
        "text": {"type": "string"},
        "evidence": {"type": "array", "items": {"type": "object"}},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"decisions": {"type": "array", "maxItems": 3, "items": ITEM}},
}
TEXT = "# Pumps\n\nWe decided to replace the seal of pump 7 before the audit.\n\n"


def asked(text: str, schema: dict[str, object] = SCHEMA, timeout: float = 60) -> CompletionRequest:
    material = Material("S1", "1", "pumps.md", text)
    return CompletionRequest("m", "", "", schema, 1000, timeout, (material,))


def much(timeout: float = 60) -> CompletionRequest:
    return asked(
        TEXT + "The pump ran without a stop in the north hall.\n\n" * (LONG_TEXT // 40),
        timeout=timeout,
    )


class Double:
    """A provider that the child process imports from here."""

    name = "double"
    offline: Literal[True] = True

    def complete(self, request: CompletionRequest) -> Completion:
        return Completion(
            self.says(request), Usage(), Decimal(0), None, None, "end", used_llm=False
        )

    def says(self, request: CompletionRequest) -> str:
        raise NotImplementedError


class TellsWhere(Double):
    def says(self, request: CompletionRequest) -> str:
        return json.dumps([os.getpid(), "DATABASE_URL" in os.environ])


class WithLock(TellsWhere):
    def __init__(self) -> None:
        self.lock = threading.Lock()


class Killed(Double):
    def says(self, request: CompletionRequest) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


class OutOfTime(Double):
    def says(self, request: CompletionRequest) -> str:
        os.kill(os.getpid(), signal.SIGXCPU)
        return ""


class Hungry(Double):
    def says(self, request: CompletionRequest) -> str:
        return str(len(bytes(2 * 1024**3)))


class Refusing(Double):
    def says(self, request: CompletionRequest) -> str:
        raise ProviderError("bad_request", "The schema cannot be used.")


class Leaving(Double):
    def says(self, request: CompletionRequest) -> str:
        os._exit(7)


class Broken(Double):
    def says(self, request: CompletionRequest) -> str:
        raise KeyError("pump")


class Waiting(Double):
    def says(self, request: CompletionRequest) -> str:
        threading.Event().wait()
        return ""


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> child_process.ProcessPool:
    """A pool of its own, without any process yet."""
    pool = child_process.ProcessPool("combine_core.llm.offline_child")
    monkeypatch.setattr(offline, "_processes", pool)
    return pool


def process_of_answer() -> int:
    where, _ = json.loads(compute(TellsWhere(), much()).completion.text)
    assert isinstance(where, int)
    return where


@pytest.mark.usefixtures("processes")
def test_much_text_is_computed_elsewhere_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    there, has_secret = json.loads(compute(TellsWhere(), much()).completion.text)
    assert (there != os.getpid(), has_secret) == (True, False)


@pytest.mark.usefixtures("processes")
def test_a_process_computes_one_answer_after_the_other() -> None:
    first = process_of_answer()
    with pytest.raises(ProviderError):
        compute(Refusing(), much())
    assert process_of_answer() == first


@pytest.mark.usefixtures("processes")
def test_a_process_that_has_ended_is_not_used_again() -> None:
    first = process_of_answer()
    with pytest.raises(ProviderError):
        compute(Killed(), much())
    assert process_of_answer() != first


@pytest.mark.usefixtures("processes")
def test_a_process_that_reads_nothing_is_killed() -> None:
    # More data than the buffer of the connection, so that sending it blocks.
    psutil.Process(process_of_answer()).suspend()
    with pytest.raises(ProviderError) as raised:
        compute(TellsWhere(), much(0.5))
    assert raised.value.code == "timeout"


@pytest.mark.usefixtures("processes")
def test_a_process_without_work_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "IDLE_S", 0.0)
    first = process_of_answer()
    with suppress(psutil.NoSuchProcess):
        psutil.Process(first).wait(60)
    assert process_of_answer() != first


@pytest.mark.parametrize(
    ("provider", "request_"),
    [(TellsWhere(), asked(TEXT)), (WithLock(), much())],
    ids=["little text", "a provider that cannot be sent"],
)
def test_short_texts_are_processed_in_the_same_process(
    provider: Double, request_: CompletionRequest
) -> None:
    assert json.loads(compute(provider, request_).completion.text)[0] == os.getpid()


def test_both_processes_return_the_same_judged_result() -> None:
    there, here = compute(ExtractProvider(), much()), compute_here(ExtractProvider(), much())
    assert there == here
    assert there.judged is not None
    [decision] = there.judged["decisions"]
    assert (decision["text"], decision["verdict"]) == (
        "We decided to replace the seal of pump 7 before the audit.",
        "supported",
    )
    assert "verdict" not in there.completion.text


def test_an_invalid_result_is_not_judged() -> None:
    assert compute(TellsWhere(), asked(TEXT)).judged is None


def test_a_result_without_sources_is_judged_by_the_caller() -> None:
    request = CompletionRequest("m", "", "", SCHEMA, 1000, 60, inputs={"facts": {"facts": []}})
    assert compute(ExtractProvider(), request).judged is None


@pytest.mark.parametrize(
    ("provider", "code", "words"),
    [
        (Killed(), "server_error", "was killed (signal 9)"),
        (OutOfTime(), "timeout", "took longer than 60 s"),
        (Hungry(), "too_large", "need too much memory"),
        (Refusing(), "bad_request", "The schema cannot be used."),
    ],
)
def test_a_failure_has_a_code(provider: Double, code: str, words: str) -> None:
    with pytest.raises(ProviderError) as raised:
        compute(provider, much())
    assert raised.value.code == code
    assert words in raised.value.message


def test_a_process_that_does_not_end_is_killed() -> None:
    with pytest.raises(ProviderError, match="took longer than 1 s") as raised:
        compute(Waiting(), much(timeout=1))
    assert raised.value.code == "timeout"


def test_an_exception_in_the_process_is_raised_here() -> None:
    with pytest.raises(RuntimeError, match="the process of double failed: KeyError: 'pump'"):
        compute(Broken(), much())


def test_an_exit_of_the_process_is_an_error_here() -> None:
    with pytest.raises(RuntimeError, match="an offline provider ended with 7"):
        compute(Leaving(), much())
