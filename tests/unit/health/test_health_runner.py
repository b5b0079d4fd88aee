"""Tests the runner of checks with gates and a fake clock, without sleeping."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections import Counter
from datetime import UTC, datetime
from time import monotonic as real_time

import pytest

from combine_health.engine.check import Check, CheckKind, HealthResult, Status
from combine_health.engine.listeners import log_change
from combine_health.engine.redaction import Redactor
from combine_health.engine.runner import Clock, Runner
from combine_health.engine.state import Change, CheckRun
from combine_health.testing import run_check

PATIENCE = 60  # real seconds until a test gives up on a thread


class Gate:
    """A check that hangs until the test opens the gate, and counts its starts."""

    def __init__(self, answer=None):
        self.answer = answer
        self.started = 0
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, _registry):
        self.started += 1
        self.entered.release()
        assert self.open.wait(PATIENCE)
        return self.answer

    def wait_entered(self):
        assert self.entered.acquire(timeout=PATIENCE)


def step(runner):
    runner.run_due()
    assert runner.wait_idle(PATIENCE)


def status(runner, name="a"):
    return runner.reading(name).status


def test_a_check_runs_at_once_and_then_at_its_interval(make_runner, time):
    runs = []
    runner = make_runner(Check("a", lambda _: runs.append(1), interval=2.0))
    assert status(runner) is Status.STARTING
    step(runner)
    assert status(runner) is Status.HEALTHY
    time.advance(1.9)
    assert runner.run_due() == pytest.approx(0.1)
    assert len(runs) == 1
    time.advance(0.2)
    step(runner)
    assert len(runs) == 2


def test_the_check_gets_the_registry(time):
    seen = []
    registry = object()
    runner = Runner([Check("a", seen.append)], registry, Redactor(), background=False)
    runner.refresh([CheckKind.READY])
    assert seen == [registry]


def test_a_hung_check_is_a_timeout_and_is_not_started_again(make_runner, time):
    gate = Gate()
    runner = make_runner(Check("a", gate, timeout=1.0, interval=2.0))
    runner.run_due()
    gate.wait_entered()
    time.advance(0.9)
    runner.run_due()
    assert status(runner) is Status.STARTING
    time.advance(0.1)
    runner.run_due()
    assert (status(runner), runner.reading("a").cause) == (Status.FAILING, "timeout")
    for _ in range(18):
        time.advance(2.0)
        runner.run_due()
    reading = runner.reading("a")
    assert (reading.status, reading.detail) == (Status.FAILING, "running for 37 s")
    assert gate.started == 1
    assert reading.state.timeouts == 1

    gate.open.set()  # its result is too late to count, and the next run starts at once
    assert runner.wait_idle(PATIENCE)
    assert status(runner) is Status.FAILING
    step(runner)
    assert gate.started == 2
    assert status(runner) is Status.HEALTHY


def test_a_hung_check_becomes_failing_in_a_single_run(make_runner, time):
    gate = Gate()
    runner = make_runner(Check("a", gate, timeout=1.0, interval=2.0, fall=3))
    gate.open.set()
    step(runner)
    gate.open.clear()
    time.advance(2)
    runner.run_due()
    seen = []
    for _ in range(4):
        seen.append(status(runner))
        time.advance(2)
        runner.run_due()
    assert seen[:3] == [Status.HEALTHY] * 3
    assert status(runner) is Status.FAILING
    gate.open.set()


def test_a_late_result_is_always_a_timeout(make_runner, time):
    gate = Gate(HealthResult.healthy())
    runner = make_runner(Check("a", gate, timeout=1.0))
    runner.run_due()
    gate.wait_entered()
    time.advance(3)
    gate.open.set()
    assert runner.wait_idle(PATIENCE)
    reading = runner.reading("a")
    assert (reading.status, reading.cause) == (Status.FAILING, "timeout")
    assert reading.detail == "answered after 3.0 s"


def test_one_hung_check_delays_no_other(make_runner, time):
    gate = Gate()
    runner = make_runner(Check("hung", gate), Check("a", lambda _: True))
    runner.run_due()
    gate.wait_entered()
    for _ in range(3):
        time.advance(2)
        runner.run_due()
        assert runner.wait_until(lambda: runner.reading("a").running_for is None, PATIENCE)
    assert status(runner) is Status.HEALTHY
    assert status(runner, "hung") is Status.FAILING
    gate.open.set()


def test_results_expire_when_they_are_read(make_runner, time):
    runner = make_runner(Check("a", lambda _: True, interval=2.0))
    step(runner)
    time.advance(6.1)  # there is no tick: the scheduler may be dead
    reading = runner.reading("a")
    assert (reading.status, reading.age) == (Status.UNKNOWN, pytest.approx(6.1))


def test_a_clock_change_does_not_affect_ages():
    ticks = iter(range(100))
    walls = iter([datetime(2026, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)] * 20)
    clock = Clock(lambda: next(ticks) * 0.01, lambda: next(walls))
    runner = Runner([Check("a", lambda _: True)], None, Redactor(), background=False, clock=clock)
    runner.refresh([CheckKind.READY])
    runner.refresh([CheckKind.READY])
    reading = runner.reading("a")
    assert reading.status is Status.HEALTHY
    assert 0 <= reading.age < 1


def test_a_startup_check_runs_until_it_passes(make_runner, time):
    answers = [False, True]
    runner = make_runner(Check("a", lambda _: answers.pop(0), kind=CheckKind.STARTUP))
    step(runner)
    assert status(runner) is Status.FAILING
    for _ in range(5):
        time.advance(2)
        step(runner)
    assert status(runner) is Status.HEALTHY
    assert answers == []


class Abrupt(BaseException):
    pass


def raising(error):
    def check(_registry):
        raise error

    return check


async def failing_coroutine(_registry):
    raise KeyError("nothing there")


async def cancelled(_registry):
    raise asyncio.CancelledError


class Unreadable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Liar:
    @property
    def __class__(self):
        raise SystemExit(3)


def unreadable_data(_registry):
    class Broken(dict):
        def items(self):
            raise RuntimeError("no items")

    return HealthResult("healthy", data=Broken())


@pytest.mark.parametrize(
    ("check", "cause"),
    [
        (lambda _: False, "failed"),
        (raising(ValueError("no")), "exception"),
        (raising(SystemExit(1)), "exception"),
        (raising(KeyboardInterrupt()), "exception"),
        (raising(GeneratorExit()), "exception"),
        (raising(Abrupt()), "exception"),
        (raising(Unreadable()), "exception"),
        (raising(TimeoutError("slow")), "timeout"),
        (lambda: True, "exception"),  # this takes no argument
        (lambda _: 1, "bad_result"),
        (lambda _: "healthy", "bad_result"),
        (lambda _: {"status": "healthy"}, "bad_result"),
        (lambda _: (n for n in [1]), "bad_result"),
        (lambda _: Liar(), "exception"),
        (lambda _: HealthResult("wonderful"), "exception"),
        (lambda _: HealthResult("failing", cause="two words"), "exception"),
        (unreadable_data, "bad_result"),
        (failing_coroutine, "exception"),
        (cancelled, "exception"),
    ],
)
def test_any_behavior_of_a_check_gives_a_result(check, cause):
    reading = run_check(check)
    assert (reading.status, reading.cause) == (Status.FAILING, cause)
    assert isinstance(reading.detail, str)


@pytest.mark.parametrize("answer", [None, True, HealthResult("healthy")])
def test_healthy_return_values(answer):
    async def later(_registry):
        return answer

    class Callable:
        async def __call__(self, _registry):
            return answer

    assert run_check(lambda _: answer).status is Status.HEALTHY
    assert run_check(later).status is Status.HEALTHY
    assert run_check(Callable()).status is Status.HEALTHY


def test_an_exception_is_reported_with_its_location():
    assert (
        "ValueError: no (at test_health_runner.py:" in run_check(raising(ValueError("no"))).detail
    )


def test_a_coroutine_is_cancelled_at_the_deadline():
    ended = threading.Event()

    async def hang(_registry):
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    reading = run_check(hang, timeout=0.05)
    assert (reading.status, reading.cause) == (Status.FAILING, "timeout")
    assert ended.wait(PATIENCE)


def test_a_blocking_coroutine_is_reported():
    gate = Gate()

    async def block(_registry):
        gate(None)

    reading = run_check(block, timeout=0.05)
    gate.open.set()
    assert (reading.status, reading.cause) == (Status.FAILING, "timeout")


def test_a_run_lasts_as_long_as_its_threads(make_runner, time):
    # Otherwise each run of a check that hangs in to_thread would leave one more thread.
    gate = Gate()

    async def hang(_registry):
        await asyncio.to_thread(gate, None)

    runner = make_runner(Check("a", hang, timeout=0.02))
    runner.run_due()
    gate.wait_entered()
    for _ in range(5):
        time.advance(2)
        runner.run_due()
    assert gate.started == 1
    assert status(runner) is Status.FAILING
    gate.open.set()
    assert runner.wait_idle(PATIENCE)


@pytest.mark.parametrize("number", [200, 500])
def test_many_checks_share_few_threads(number):
    before = threading.active_count()
    runner = Runner(
        [Check(f"c{n}", lambda _: True) for n in range(number)], None, Redactor(), background=False
    )
    for _ in range(3):
        runner.refresh(tuple(CheckKind))
        assert {one.status for one in runner.readings()} == {Status.HEALTHY}
    assert threading.active_count() - before <= number
    assert [one.check.name for one in runner.readings()] == [f"c{n}" for n in range(number)]


def test_probes_of_a_hung_check_start_no_thread():
    gate = Gate()
    runner = Runner([Check("a", gate, timeout=0.02)], None, Redactor(), background=False)
    runner.refresh([CheckKind.READY])
    gate.wait_entered()
    before = threading.active_count()
    for _ in range(1000):
        runner.refresh([CheckKind.READY])
        assert status(runner) is Status.FAILING
    assert threading.active_count() == before
    assert gate.started == 1
    gate.open.set()


def test_parallel_requests_share_one_run():
    gate = Gate()
    looks = Counter()
    waiting = threading.Semaphore(0)

    def monotonic():
        looks[threading.get_ident()] += 1
        if looks[threading.get_ident()] == 2:  # due checks run first; this is for the run itself
            waiting.release()
        return real_time()

    clock = Clock(monotonic=monotonic)
    runner = Runner(
        [Check("a", gate, timeout=PATIENCE)], None, Redactor(), background=False, clock=clock
    )
    probes = [
        threading.Thread(target=runner.refresh, args=([CheckKind.READY],), daemon=True)
        for _ in range(8)
    ]
    for probe in probes:
        probe.start()
    for _ in probes:
        assert waiting.acquire(timeout=PATIENCE)
    gate.open.set()
    for probe in probes:
        probe.join(PATIENCE)
        assert not probe.is_alive()
    assert status(runner) is Status.HEALTHY
    assert gate.started == 1


def test_refresh_runs_only_the_given_kinds():
    seen = []
    runner = Runner(
        [Check(kind, lambda _, kind=kind: seen.append(kind), kind=kind) for kind in CheckKind],
        None,
        Redactor(),
        background=False,
    )
    runner.refresh([CheckKind.LIVE])
    assert seen == ["live"]


def test_a_missing_thread_is_a_failing_check(make_runner, monkeypatch):
    runner = make_runner(Check("a", lambda _: True))

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    runner.run_due()
    reading = runner.reading("a")
    assert (reading.status, reading.cause) == (Status.FAILING, "no_thread")


def test_a_run_that_ends_after_the_stop_is_not_reported(make_runner, time):
    """The connections of the check may have ended with the process, which is not a fault."""
    gate, told = Gate(answer=False), []
    runner = make_runner(Check("a", gate), notify=lambda: told.append(runner.take()))
    runner.run_due()
    gate.wait_entered()
    runner.stop()
    gate.open.set()
    assert runner.wait_idle(PATIENCE)
    assert told == []


def test_probes_work_without_a_scheduler_thread(monkeypatch):
    runner = Runner([Check("a", lambda _: True)], None, Redactor())

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert runner.readings()[0].status is Status.STARTING
    runner.readings()
    assert wait_for_status(runner, Status.HEALTHY)
    runner.stop()


def wait_for_status(runner, wanted):
    return runner.wait_until(lambda: status(runner) is wanted, PATIENCE)


def test_the_background_starts_with_the_first_probe():
    gate = Gate()
    runner = Runner([Check("a", gate, timeout=PATIENCE)], None, Redactor())
    assert gate.started == 0
    assert runner.readings()[0].status is Status.STARTING
    gate.open.set()
    assert wait_for_status(runner, Status.HEALTHY)
    runner.stop()


def test_the_background_continues_after_errors():
    third = threading.Event()
    runs = []

    def check(_registry):
        runs.append(1)
        if len(runs) == 3:
            third.set()

    runner = Runner([Check("a", check, interval=0.01)], None, Redactor())
    runner.start()
    assert third.wait(PATIENCE)
    runner.stop()


def test_an_abandoned_runner_ends_its_scheduler():
    runner = Runner([Check("a", lambda _: True)], None, Redactor())
    before = {thread for thread in threading.enumerate() if thread.name == "health"}
    runner.start()
    (scheduler,) = {t for t in threading.enumerate() if t.name == "health"} - before
    assert wait_for_status(runner, Status.HEALTHY)
    gone = weakref.ref(runner)
    del runner
    gc.collect()
    scheduler.join(PATIENCE)
    assert not scheduler.is_alive()
    gc.collect()
    assert gone() is None


def test_a_stopped_runner_starts_no_check_and_still_responds(make_runner, time):
    runs = []
    runner = make_runner(Check("a", lambda _: runs.append(1)))
    runner.stop()
    runner.run_due()
    runner.refresh([CheckKind.READY])
    assert runner.readings()[0].status is Status.STARTING
    assert runs == []


def test_a_waiting_probe_gets_a_response_after_the_stop():
    gate = Gate()
    runner = Runner([Check("a", gate, timeout=0.2)], None, Redactor(), background=False)
    probe = threading.Thread(target=runner.refresh, args=([CheckKind.READY],), daemon=True)
    probe.start()
    gate.wait_entered()
    runner.stop()
    probe.join(PATIENCE)
    assert not probe.is_alive()
    assert runner.reading("a").cause == "timeout"
    gate.open.set()


def test_secrets_reach_no_reading_listener_or_log(caplog):
    canary = "c4n4ry-v4lue"
    error = ConnectionError(
        f"postgresql://combine:other-pw@db/x {canary} password='a b' token: zzz"
    )
    redactor = Redactor()
    redactor.add(canary)
    runner = Runner([Check("a", raising(error))], None, redactor, background=False)
    runner.refresh([CheckKind.READY])
    told, _ = runner.take()
    assert {type(event) for event in told} == {Change, CheckRun}
    for event in told:
        if isinstance(event, Change):
            log_change(event)
    said = f"{runner.reading('a').detail} {told} {caplog.text}"
    for secret in (canary, "other-pw", "a b", "zzz"):
        assert secret not in said
    assert "ConnectionError" in caplog.text


def test_megabytes_become_one_short_line():
    reading = run_check(
        lambda _: HealthResult(
            "failing", "big", "x\n" * 5_000_000, {"list": list(range(100_000)), "text": "y" * 10**7}
        )
    )
    assert len(reading.detail) <= 500
    assert "\n" not in reading.detail
    assert len(str(dict(reading.data))) < 10_000


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_starts_anew():
    gate = Gate()
    runner = Runner([Check("a", lambda _: True), Check("hung", gate)], None, Redactor())
    runner.start()
    assert wait_for_status(runner, Status.HEALTHY)
    gate.wait_entered()

    def fork_here():  # while the parent holds the lock of the runner
        child = os.fork()
        if child == 0:
            try:
                gate.open.set()
                runner.readings()
                seen = wait_for_status(runner, Status.HEALTHY) and runner.reading("a").state.runs
                os._exit(0 if seen else 1)
            finally:
                os._exit(2)
        return child

    _, code = os.waitpid(runner.wait_until(fork_here, PATIENCE), 0)
    gate.open.set()
    runner.stop()
    assert os.waitstatus_to_exitcode(code) == 0


HANG = """
import asyncio, threading, time
from combine_health.engine.check import Check
from combine_health.engine.state import Change, CheckRun
from combine_health.engine.listeners import log_change
from combine_health.engine.redaction import Redactor
from combine_health.engine.runner import Runner

entered = threading.Semaphore(0)

def hang(_registry):
    entered.release()
    time.sleep(3600)

async def hang_in_thread(_registry):
    await asyncio.to_thread(hang, None)

runner = Runner([Check("a", hang), Check("b", hang_in_thread)], None, Redactor())
runner.start()
entered.acquire(); entered.acquire()
print("leaving")
"""


def test_hung_checks_do_not_delay_the_exit():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HANG],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")
