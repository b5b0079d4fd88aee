"""Tests the shutdown phases of the server, log throttling, and the limit of open files."""

import logging
import signal
import threading

import pytest

from combine_health.engine.log_throttle import ThrottledLog
from combine_health.server.drain import Drain, Phase, on_signals
from combine_health.server.listening import reserve_descriptors


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def drain(clock):
    return Drain(wait=5, stop=30, clock=clock)


def at(drain, clock, now):
    clock.now = now
    return drain.phase


def test_sigterm_starts_the_drain(drain, clock):
    assert at(drain, clock, 100) is Phase.SERVING
    assert drain.left == float("inf")
    drain.terminate()
    assert drain.phase is Phase.DRAINING
    assert drain.left == 5
    assert at(drain, clock, 104.9) is Phase.DRAINING
    assert at(drain, clock, 105) is Phase.FINISHING
    assert drain.left == 30
    assert at(drain, clock, 134.9) is Phase.FINISHING
    assert at(drain, clock, 135) is Phase.OVER
    assert drain.left == 0


def test_sigint_skips_the_drain(drain, clock):
    drain.interrupt()
    assert drain.phase is Phase.FINISHING
    assert at(drain, clock, 4.9) is Phase.FINISHING
    assert at(drain, clock, 5) is Phase.OVER


@pytest.mark.parametrize("first", ["terminate", "interrupt"])
@pytest.mark.parametrize("second", ["terminate", "interrupt"])
def test_a_second_signal_ends_the_drain(drain, first, second):
    getattr(drain, first)()
    getattr(drain, second)()
    assert drain.phase is Phase.OVER


def test_an_idle_server_does_not_wait(clock):
    drain = Drain(wait=0, stop=0, clock=clock)
    assert drain.phase is Phase.SERVING
    drain.terminate()
    assert drain.phase is Phase.OVER


def test_signal_handlers_are_restored():
    said = []
    term = signal.getsignal(signal.SIGTERM)
    # The signals are ignored if the suite runs as a background job of a shell.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with on_signals(lambda: said.append("term"), lambda: said.append("int")):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGUSR2)
        assert said == ["term", "int"]
        assert signal.getsignal(signal.SIGTERM) == term
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, interrupt)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_an_ignored_signal_stays_ignored(number):
    def fail():
        pytest.fail("it was ignored")

    before = signal.signal(number, signal.SIG_IGN)
    try:
        with on_signals(fail, fail):
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_another_thread_does_not_change_signal_handlers():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with on_signals(lambda: None, lambda: None):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_repeated_lines_are_throttled(clock, caplog):
    log = ThrottledLog(logging.getLogger("some"), clock=clock)
    for number in range(50):
        log.warning("depth is %d", number)
        log.warning("another kind: %s", number)
    clock.now = 9.9
    log.warning("depth is %d", 98)
    clock.now = 10
    log.warning("depth is %d", 99)
    assert [record.getMessage() for record in caplog.records] == [
        "depth is 0",
        "another kind: 0",
        "depth is 99 (and 50 more such lines in 10 s)",
    ]


def test_the_traceback_is_logged(clock, caplog):
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        ThrottledLog(logging.getLogger("some"), clock=clock).exception("it failed")
    assert caplog.records[0].exc_info[0] is RuntimeError
    assert caplog.records[0].funcName == "test_the_traceback_is_logged"


class Limits:
    RLIMIT_NOFILE = object()
    RLIM_INFINITY = -1

    def __init__(self, soft, hard, *, forbidden=False):
        self.limits = soft, hard
        self.forbidden = forbidden

    def getrlimit(self, _kind):
        return self.limits

    def setrlimit(self, _kind, limits):
        if self.forbidden:
            raise ValueError("not allowed")
        self.limits = limits


@pytest.mark.parametrize(
    ("limits", "room", "soft"),
    [
        (Limits(1_024, 1_048_576), 20_000, 20_256),
        (Limits(1_024, -1), 20_000, 20_256),
        (Limits(-1, -1), 20_000, -1),
        (Limits(65_536, 65_536), 20_000, 65_536),
        (Limits(1_024, 4_096), 3_840, 4_096),
        (Limits(1_024, 1_048_576, forbidden=True), 768, 1_024),
        (Limits(100, 100), 25, 100),
    ],
)
def test_the_limit_of_open_files_is_raised(monkeypatch, limits, room, soft):
    monkeypatch.setitem(__import__("sys").modules, "resource", limits)
    assert reserve_descriptors(20_000) == room
    assert limits.limits[0] == soft


def test_a_system_may_have_no_limits(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "resource", None)
    assert reserve_descriptors(20_000) == 20_000
