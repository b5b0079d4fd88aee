"""Tests that misbehaving checks always get a correct result in time."""

import os
import sys
import threading
import time as real_time

import pytest

from combine_health.engine.check import Check, CheckKind, HealthResult, Status
from combine_health.engine.redaction import Redactor
from combine_health.engine.runner import Runner
from combine_health.testing import FakeClock, run_check

PATIENCE = 60


def test_a_check_may_print_megabytes(capfd):
    def check(_registry):
        for _ in range(50):
            sys.stdout.write("x" * 100_000)
            sys.stderr.write("y" * 100_000)

    assert run_check(check, timeout=PATIENCE).status is Status.HEALTHY
    assert len(capfd.readouterr().out) == 5_000_000


def test_a_check_may_block_in_c():
    reading, writing = os.pipe()
    reached = threading.Event()

    def check(_registry):
        reached.set()
        os.read(reading, 1)

    runner = Runner([Check("a", check, timeout=0.05)], None, Redactor(), background=False)
    began = real_time.monotonic()
    runner.refresh([CheckKind.READY])
    assert reached.wait(PATIENCE)
    assert real_time.monotonic() - began < PATIENCE / 2
    assert runner.reading("a").cause == "timeout"
    os.write(writing, b"x")
    assert runner.wait_idle(PATIENCE)
    os.close(reading)
    os.close(writing)


def test_a_check_may_block_on_a_full_pipe():
    reading, writing = os.pipe()

    def check(_registry):
        os.write(writing, b"x" * 10_000_000)

    reading_now = run_check(check, timeout=0.05)
    assert (reading_now.status, reading_now.cause) == (Status.FAILING, "timeout")
    os.close(reading)  # this releases the check with EPIPE


def test_a_check_may_compute_in_c_without_end():
    def check(_registry):
        sum(range(10**7))  # it holds the interpreter lock for long

    runner = Runner(
        [Check("busy", check, timeout=0.001), Check("good", lambda _: True, timeout=PATIENCE)],
        None,
        Redactor(),
        background=False,
    )
    runner.refresh([CheckKind.READY])
    assert runner.reading("busy").cause == "timeout"
    assert runner.reading("good").status is Status.HEALTHY


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_check_that_forks_leaves_no_second_service():
    children = []

    def check(_registry):
        child = os.fork()
        if child:
            children.append(child)
        return True  # the child returns here too

    runner = Runner([Check("a", check, timeout=PATIENCE)], None, Redactor(), background=False)
    runner.refresh([CheckKind.READY])
    assert runner.reading("a").status is Status.HEALTHY
    _, code = os.waitpid(children[0], 0)
    assert os.waitstatus_to_exitcode(code) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_check_may_fork_and_raise_in_the_child():
    children = []

    def check(_registry):
        child = os.fork()
        if not child:
            raise KeyboardInterrupt
        children.append(child)

    assert run_check(check, timeout=PATIENCE).status is Status.HEALTHY
    _, code = os.waitpid(children[0], 0)
    assert os.waitstatus_to_exitcode(code) == 1


def test_a_check_may_start_endless_threads():
    gate = threading.Event()

    def check(_registry):
        threading.Thread(target=gate.wait, args=(PATIENCE,), daemon=True).start()

    assert run_check(check).status is Status.HEALTHY
    gate.set()


def test_a_check_may_change_its_result_later():
    data = {"waiting": 1}
    runner = Runner(
        [Check("a", lambda _: HealthResult("healthy", data=data))],
        None,
        Redactor(),
        background=False,
    )
    runner.refresh([CheckKind.READY])
    data["waiting"] = object()
    data["secret"] = "x"
    assert runner.reading("a").data == {"waiting": 1}


def test_a_check_may_recurse_without_end():
    def check(registry):
        return check(registry)

    reading = run_check(check)
    assert (reading.status, reading.cause) == (Status.FAILING, "exception")
    assert "RecursionError" in reading.detail


def test_a_check_may_return_a_lying_subclass():
    class Lying(HealthResult):
        @property
        def detail(self):
            raise MemoryError

        def __init__(self):
            pass

    reading = run_check(lambda _: Lying())
    assert (reading.status, reading.cause) == (Status.FAILING, "bad_result")


def test_all_checks_run_after_a_clock_jump(make_runner, time):
    # On a resumed machine, every result is stale and is renewed.
    runner = make_runner(*(Check(f"c{number}", lambda _: True) for number in range(50)))
    runner.run_due()
    assert runner.wait_idle(PATIENCE)
    time.advance(86_400)
    assert {one.status for one in runner.readings()} == {Status.UNKNOWN}
    runner.run_due()
    assert runner.wait_idle(PATIENCE)
    assert {one.status for one in runner.readings()} == {Status.HEALTHY}
    assert {one.state.runs for one in runner.readings()} == {2}


def test_a_stopped_monotonic_clock_is_harmless():
    time = FakeClock()
    runner = Runner(
        [Check("a", lambda _: True)], None, Redactor(), clock=time.clock(), background=False
    )
    for _ in range(5):
        runner.refresh([CheckKind.READY])
    reading = runner.reading("a")
    assert (reading.age, reading.duration, reading.state.runs) == (0, 0, 5)


def test_skipped_runs_are_counted(make_runner, time):
    gate = threading.Event()
    entered = threading.Event()

    def check(_registry):
        entered.set()
        gate.wait(PATIENCE)

    runner = make_runner(Check("a", check, timeout=1.0, interval=2.0))
    runner.run_due()
    assert entered.wait(PATIENCE)
    time.advance(9)
    runner.run_due()
    assert runner.reading("a").skipped == 4
    gate.set()
    assert runner.wait_idle(PATIENCE)
    assert runner.reading("a").skipped == 4
