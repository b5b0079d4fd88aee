"""Tests that runs end despite failures, with a real worker and a real database."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Literal

import procrastinate
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from combine_core.documents import read_version, versions_of_run
from combine_core.llm import Completion, CompletionRequest, ProviderError, ProviderRegistry, Usage
from combine_core.runs import Call, CallState, Run, RunState, Step, StepState
from combine_core.runs import worker as worker_module
from combine_core.runs.worker import Worker, make_worker
from combine_core.search.indexing import is_indexing
from combine_core.settings.core import CoreSettings
from tests.functional.runs.conftest import Place, StartRun
from tests.postgres_cluster import wait_for

pytestmark = pytest.mark.usefixtures("frequent_polling")

Sessions = sessionmaker[Session]
PATIENCE_S = 90


class Gated:
    """A provider that replies as told, once the test opens the gate."""

    def __init__(self, name: str = "gated") -> None:
        self.name = name
        self.asked = threading.Semaphore(0)
        self.may_answer = threading.Event()
        self.answers: list[Completion | ProviderError] = []
        self.requests: list[CompletionRequest] = []

    def complete(self, request: CompletionRequest) -> Completion:
        self.requests.append(request)
        self.asked.release()
        assert self.may_answer.wait(PATIENCE_S)
        answer = self.answers.pop(0) if self.answers else fitting(request)
        if isinstance(answer, ProviderError):
            raise answer
        return answer


def completion(answer: object, cost: str | None = "0.25") -> Completion:
    return Completion(
        text=answer if isinstance(answer, str) else json.dumps(answer),
        usage=Usage(input_tokens=10, output_tokens=5),
        cost=None if cost is None else Decimal(cost),
        http_status=200,
        provider_request_id="req_1",
        stop_reason="end_turn",
        used_llm=True,
    )


QUOTE = "We decided to replace the door seal by Friday."


def fitting(request: CompletionRequest) -> Completion:
    """Return a reply that fits either step of the brief, with one true and one invented quote."""
    true = {"source": "S1", "line_from": 4, "line_to": 4, "quote": QUOTE}
    invented = {**true, "quote": "The board agreed."}
    if "facts" in request.schema["properties"]:
        return completion({"facts": [{"text": QUOTE, "kind": "decision", "evidence": [true]}]})
    sections = dict.fromkeys(request.schema["properties"], ())
    decisions = [{"text": QUOTE, "evidence": [true]}, {"text": "Lie.", "evidence": [invented]}]
    return completion({**sections, "decisions": decisions})


@pytest.fixture
def gated() -> Gated:
    return Gated()


@pytest.fixture
def with_gated(gated: Gated) -> ProviderRegistry:
    registry = ProviderRegistry()
    registry.register(gated)
    return registry


@contextmanager
def working(settings: CoreSettings, providers: ProviderRegistry) -> Iterator[Worker]:
    worker = make_worker(settings, providers, grace=0.2)
    thread = worker.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def look(sessions: Sessions, run: Run) -> Run:
    with sessions() as session:
        return session.get_one(Run, run.id)


def ended(sessions: Sessions, run: Run) -> Run:
    wait_for(lambda: look(sessions, run).ended_at is not None)
    return look(sessions, run)


def calls_of(sessions: Sessions, run: Run) -> list[Call]:
    with sessions() as session:
        return list(session.scalars(select(Call).where(Call.run_id == run.id).order_by(Call.id)))


def steps_of(sessions: Sessions, run: Run) -> dict[str, Step]:
    with sessions() as session:
        steps = session.scalars(select(Step).where(Step.run_id == run.id))
        return {step.key: step for step in steps}


def test_extract_makes_a_document_with_quotes_from_the_source(
    settings: CoreSettings,
    providers: ProviderRegistry,
    sessions: Sessions,
    start: StartRun,
    place: Place,
) -> None:
    run = start()
    with working(settings, providers):
        assert ended(sessions, run).state == RunState.SUCCEEDED
    with sessions() as session:
        (written,) = versions_of_run(session, run.id)
        version = read_version(session, written.document_id)
    assert version is not None
    assert (version.number, version.flagged, version.used_llm) == (1, 0, False)
    assert "No language model was used" in version.markdown
    assert [(made_from.kind, made_from.name) for made_from in version.inputs] == [
        ("line", "brief"),
        ("source", "oven.md"),
    ]
    (decision,) = version.content["decisions"]
    assert decision["evidence"] == [
        {"source_id": str(place.source_id), "line_from": 4, "line_to": 4, "quote": QUOTE}
    ]
    calls = calls_of(sessions, run)
    assert [(call.provider, call.used_llm, call.cost) for call in calls] == [
        ("extract", False, Decimal(0))
    ] * 2


def test_a_model_is_journaled_and_an_invented_quote_is_unsupported(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
) -> None:
    gated.may_answer.set()
    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        done = ended(sessions, run)
    assert (done.state, done.cost, done.unpriced_calls) == ("succeeded", Decimal("0.5"), 0)
    with sessions() as session:
        (written,) = versions_of_run(session, run.id)
        version = read_version(session, written.document_id)
    assert version is not None
    assert (version.flagged, version.used_llm) == (1, True)
    honest, lie = version.content["decisions"]
    assert len(honest["evidence"]) == 1
    assert lie["evidence"] == []
    assert (honest["verdict"], lie["verdict"]) == ("supported", "unsupported")
    assert lie["reasons"] == ["quote_not_found"]
    assert "The board agreed." not in version.markdown
    for call in calls_of(sessions, run):
        assert (call.state, call.model, call.input_tokens) == (CallState.OK, "m1", 10)


def test_an_invalid_reply_is_requested_again_with_its_errors(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
) -> None:
    gated.answers = [completion("no JSON at all"), completion({"facts": [{"text": "x"}]})]
    gated.may_answer.set()
    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        assert ended(sessions, run).state == RunState.SUCCEEDED
    assert "no JSON at all" in gated.requests[1].prompt
    assert "/facts/0" in gated.requests[2].prompt
    assert "no JSON at all" not in gated.requests[2].prompt
    assert [call.sequence for call in calls_of(sessions, run)] == [1, 2, 3, 1]


def test_the_run_fails_after_the_last_repair(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
) -> None:
    gated.answers = [completion("no", cost=None) for _ in range(3)]
    gated.may_answer.set()
    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        failed = ended(sessions, run)
    assert (failed.state, failed.error_code) == (RunState.FAILED, "bad_answer")
    assert "Try another model" in (failed.error or "")
    assert (failed.cost, failed.unpriced_calls) == (Decimal(0), 3)
    assert steps_of(sessions, run)["brief"].state == StepState.CANCELLED


@pytest.mark.parametrize(("invented", "named"), [(0, "0 statements"), (1, "1 statement")])
def test_an_unsupported_reply_fails_the_run(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
    invented: int,
    named: str,
) -> None:
    evidence = [{"source": "S1", "line_from": 1, "line_to": 1, "quote": "The board agreed."}]
    fact = {"text": "The board agreed.", "kind": "decision", "evidence": evidence}
    gated.answers = [completion({"facts": [fact] * invented})]
    gated.may_answer.set()
    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        failed = ended(sessions, run)
    assert (failed.state, failed.error_code) == (RunState.FAILED, "no_evidence")
    assert failed.error == (
        f"Collect facts: The model named {named} for 6 lines of sources, and none is supported by them."
        " Try another model."
    )


@pytest.mark.parametrize("code", ["auth", "bad_request", "unknown_model"])
def test_a_permanent_error_fails_at_once(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
    code: str,
) -> None:
    gated.answers = [ProviderError(code, "Mend it.", http_status=401)]  # type: ignore[arg-type]
    gated.may_answer.set()
    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        failed = ended(sessions, run)
    assert (failed.state, failed.error_code) == (RunState.FAILED, code)
    assert failed.error == "Collect facts: Mend it."
    assert len(gated.requests) == 1


def test_a_temporary_error_is_retried_after_the_given_time(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
) -> None:
    gated.answers = [ProviderError("rate_limited", "Slow down.", http_status=429, retry_after=0.1)]
    gated.may_answer.set()
    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        assert ended(sessions, run).state == RunState.SUCCEEDED
    assert [call.state for call in calls_of(sessions, run)] == ["error", "ok", "ok"]
    assert steps_of(sessions, run)["facts"].failures == 1


def test_a_lost_request_is_sent_once_more(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
) -> None:
    gated.answers = [ProviderError("timeout", "No answer.", lost=True, retry_after=0) for _ in "ab"]
    gated.may_answer.set()
    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        assert ended(sessions, run).error_code == "timeout"
    assert [call.state for call in calls_of(sessions, run)] == ["lost", "lost"]


def test_no_connection_is_held_during_a_call(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
) -> None:
    def held() -> int:
        with sessions() as session:
            found = session.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
                )
            )
            return int(found or 0)

    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        assert gated.asked.acquire(timeout=PATIENCE_S)
        # The sweep of the worker sometimes has a transaction, but none lasts as long as the call.
        wait_for(lambda: held() == 0)
        gated.may_answer.set()
        ended(sessions, run)


def test_a_stopping_worker_releases_its_step(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
) -> None:
    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        assert gated.asked.acquire(timeout=PATIENCE_S)
    assert steps_of(sessions, run)["facts"].state == StepState.READY
    gated.may_answer.set()  # the late reply arrives now
    with working(settings, with_gated):
        assert ended(sessions, run).state == RunState.SUCCEEDED


def test_old_texts_are_deleted_and_their_figures_stay(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
) -> None:
    gated.may_answer.set()
    old, young = start("gated/m1", with_gated), start("gated/m2", with_gated)
    with working(settings, with_gated):
        ended(sessions, old)
        ended(sessions, young)
    with sessions.begin() as session:
        aged = text("UPDATE calls SET created_at = now() - interval '8 days' WHERE run_id = :run")
        session.execute(aged, {"run": old.id})

    def texts(run: Run) -> list[bool]:
        with sessions() as session:
            stored = select(Call.request, Call.response).where(Call.run_id == run.id)
            return [text is not None for row in session.execute(stored) for text in row]

    with working(settings.model_copy(update={"journal_texts_kept_days": 7}), with_gated):
        wait_for(lambda: not any(texts(old)))
    assert texts(young) == [True] * 4
    assert [(call.cost, call.output_tokens > 0) for call in calls_of(sessions, old)] == [
        (Decimal("0.25"), True)
    ] * 2


def test_a_worker_stops_while_it_connects(
    with_gated: ProviderRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_S)
        url = f"postgresql://combine:sesame@127.0.0.1:{silent.getsockname()[1]}/combine"
        with working(CoreSettings(database_url=url), with_gated):  # type: ignore[arg-type]
            waiting, _ = silent.accept()
        waiting.close()
    assert "The worker has stopped" in caplog.text


def test_a_worker_stops_although_a_library_swallows_the_cancellation(
    settings: CoreSettings,
    with_gated: ProviderRegistry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """asyncio.wait_for does this before Python 3.12, if the result arrives at the same moment."""
    opening = threading.Event()
    really_open = procrastinate.PsycopgConnector.open_async

    async def open_async(connector: procrastinate.PsycopgConnector, pool: None = None) -> None:
        opening.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(PATIENCE_S)
        await really_open(connector, pool)

    monkeypatch.setattr(procrastinate.PsycopgConnector, "open_async", open_async)
    with working(settings, with_gated):
        assert opening.wait(PATIENCE_S)
    assert "stopped unexpectedly" not in caplog.text


def test_a_task_that_swallows_its_cancellation_is_cancelled_again() -> None:
    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(PATIENCE_S)
        await asyncio.sleep(PATIENCE_S)

    async def ended_in_time() -> bool:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        await asyncio.wait_for(worker_module._cancel_and_wait(task), PATIENCE_S)
        return task.cancelled()

    assert asyncio.run(ended_in_time())


def test_the_step_of_a_dead_worker_goes_to_one_other_worker(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
) -> None:
    """As after kill -9, the database loses the heartbeat of the first worker, which returns later."""
    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        assert gated.asked.acquire(timeout=PATIENCE_S)
        with sessions.begin() as session:
            session.execute(
                text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
            )
        with working(settings, with_gated):
            assert gated.asked.acquire(timeout=PATIENCE_S)
            gated.may_answer.set()
            assert ended(sessions, run).state == RunState.SUCCEEDED
    # Both replies were paid for and are in the journal. One became the document.
    assert [call.state for call in calls_of(sessions, run)] == ["ok", "ok", "ok"]
    assert look(sessions, run).cost == Decimal("0.75")
    with sessions() as session:
        assert len(versions_of_run(session, run.id)) == 1


def test_a_run_survives_dropped_connections(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
) -> None:
    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        assert gated.asked.acquire(timeout=PATIENCE_S)
        with sessions() as session:
            session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        gated.may_answer.set()
        assert ended(sessions, run).state == RunState.SUCCEEDED


def test_a_stored_reply_is_not_paid_for_twice(
    settings: CoreSettings,
    sessions: Sessions,
    start: StartRun,
    gated: Gated,
    with_gated: ProviderRegistry,
) -> None:
    """The worker died after storing the journal row of the reply and before the end of the step."""
    gated.may_answer.set()
    run = start("gated/m1", with_gated)
    with working(settings, with_gated):
        ended(sessions, run)
    asked = len(gated.requests)
    with sessions.begin() as session:
        session.execute(text("UPDATE runs SET state = 'running', ended_at = NULL"))
        session.execute(text("UPDATE steps SET state = 'ready' WHERE key = 'brief'"))
    with working(settings, with_gated):
        assert ended(sessions, run).state == RunState.SUCCEEDED
    assert len(gated.requests) == asked
    assert look(sessions, run).cost == Decimal("0.5")


class Slow(Gated):
    """A provider whose preparation takes until the test releases it."""

    def __init__(self) -> None:
        super().__init__()
        self.preparing, self.may_prepare = threading.Event(), threading.Event()

    def prepare(self) -> None:
        self.preparing.set()
        assert self.may_prepare.wait(PATIENCE_S)


def test_the_latency_excludes_loading_the_provider(
    settings: CoreSettings, sessions: Sessions, start: StartRun
) -> None:
    slow, registry = Slow(), ProviderRegistry()
    registry.register(slow)
    run = start("gated/model", registry)
    with working(settings, registry):
        assert slow.preparing.wait(PATIENCE_S)
        while_loading = calls_of(sessions, run)
        slow.may_prepare.set()
        slow.may_answer.set()
        done = ended(sessions, run)

    assert while_loading == []
    assert done.state == RunState.SUCCEEDED


def test_errors_of_both_tasks_are_logged_in_one_line_each(
    settings: CoreSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    providers: ProviderRegistry,
) -> None:
    failures = 0

    async def fails(*_: object) -> None:
        nonlocal failures
        failures += 1
        raise procrastinate.exceptions.ConnectorException

    monkeypatch.setattr(worker_module.QueueWorker, "run", fails)
    monkeypatch.setattr(Worker, "_sweep", fails)
    with working(settings, providers):
        wait_for(lambda: failures >= 4)
    gc.collect()
    assert "The worker lost the database (ConnectorException)" in caplog.text
    assert "Traceback" not in caplog.text
    assert "never retrieved" not in caplog.text


def test_new_texts_are_indexed(
    settings: CoreSettings, providers: ProviderRegistry, sessions: Sessions, place: Place
) -> None:
    def indexed() -> bool:
        with sessions() as session:
            return not is_indexing(session, place.project_id)

    assert not indexed()
    with working(settings, providers):
        wait_for(indexed)


class Computing(Gated):
    offline: Literal[True] = True


def test_indexing_waits_for_computed_steps(
    settings: CoreSettings, start: StartRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    computing = Computing("computing")
    registry = ProviderRegistry()
    registry.register(computing, takes_model=False)
    did: list[str] = []
    monkeypatch.setattr(worker_module, "adopt_unread", lambda _: did.append("sweep"))
    monkeypatch.setattr(worker_module, "index_missing", lambda _: did.append("index"))
    monkeypatch.setattr(worker_module, "MAX_POSTPONED", 3)
    for _ in range(2):
        start("computing", registry)
    with working(settings, registry):
        for _ in range(2):
            assert computing.asked.acquire(timeout=PATIENCE_S)
        before = did.count("index")
        wait_for(lambda: did.count("index") >= before + 3)
        computing.may_answer.set()
    ends = [number for number, what in enumerate(did) if what == "index"][before + 1 : before + 3]
    assert did[slice(*ends)] == ["index"] + ["sweep"] * 4
