"""Runs the checks on daemon threads, one run per check at a time, with hard deadlines.

One scheduler thread sleeps until the next check is due or the next deadline passes. A check that
ignores its deadline keeps its thread, is reported as timed out, and is not started again until it
returns. Readers only copy known results, so a probe never waits for a check, except in
`Runner.refresh`.
"""

import atexit
import logging
import weakref
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from threading import Condition, Thread
from time import monotonic
from typing import Any

from combine_health.engine.check import Check, CheckKind, HealthResult, Status
from combine_health.engine.event_loop import CheckLoop
from combine_health.engine.execute import DaemonPool, report, reset_after_fork, run
from combine_health.engine.redaction import Redactor
from combine_health.engine.state import Attempt, Change, Event, Reading, Slot, State

log = logging.getLogger("combine_health")

_utc_now = partial(datetime.now, UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """The source of time. Ages and deadlines use the monotonic clock; the wall clock is only displayed."""

    monotonic: Callable[[], float] = monotonic
    wall: Callable[[], datetime] = _utc_now


class Runner:
    """A runner of ``checks`` that calls them with ``registry`` and keeps their results.

    ``chores`` run like checks but are not shown. After an event, the runner calls ``notify`` on the
    thread of the event, so ``notify`` must neither block nor raise; `take` returns the events. A runner
    that is not ``scheduled`` starts no scheduler thread: its owner calls `run_due`, as tests with a fake
    clock do.
    """

    def __init__(
        self,
        checks: Iterable[Check],
        registry: Any,
        redactor: Redactor,
        *,
        background: bool = True,
        scheduled: bool = True,
        clock: Clock | None = None,
        chores: Iterable[Check] = (),
        loop: CheckLoop | None = None,
        notify: Callable[[], None] = lambda: None,
    ) -> None:
        self._checks = tuple(checks)
        self._chores = tuple(chores)
        self._registry = registry
        self._redactor = redactor
        self._background = background
        self._scheduled = scheduled
        self._clock = clock or Clock()
        self._notify = notify
        self._loop = loop or CheckLoop()
        if loop is None:
            weakref.finalize(self, self._loop.stop).atexit = False
        self.changes = 0
        """The number of status changes; readers compare it to detect a change."""
        self.reset()
        _RUNNERS.add(self)
        reset_after_fork(self)

    def reset(self) -> None:
        """Discard all state, also in the child of a fork, which cannot use the parent's threads and locks."""
        self.changes += 1
        self._changed = Condition()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._started = False
        self._stopped = False
        self._pool: DaemonPool[tuple[HealthResult, float]] = DaemonPool()
        since = self._clock.wall()
        self._slots = {check.name: Slot(check, State(since)) for check in self._checks}
        for chore in self._chores:  # the name of a check cannot contain parentheses
            self._slots[f"({chore.name})"] = Slot(chore, State(since), chore=True)
        self._events: list[Event] = []

    # Starting and stopping

    def start(self) -> None:
        if self._has_begun() or not self._background:
            return
        with self._changed:
            if self._has_begun():
                return
            self._started = True
            now = self._clock.monotonic()
            for slot in self._slots.values():
                if slot.attempt is None:  # a current run keeps its deadline and plans the next run
                    slot.due = now
        if not self._scheduled:
            return
        try:
            Thread(
                target=_schedule, args=(weakref.ref(self), self._wake), name="health", daemon=True
            ).start()
        except RuntimeError:  # no thread could be started
            log.exception("the health checks cannot start; the next probe tries again")
            self._started = False
            return
        weakref.finalize(self, self._wake.put, None).atexit = False

    def _has_begun(self) -> bool:
        return self._started or self._stopped

    def stop(self) -> None:
        """Start no further run. Current runs continue, but their results are not reported."""
        with self._changed:
            self._stopped = True
        self._wake.put(None)
        self._loop.stop()

    # Reading

    def readings(self) -> list[Reading]:
        """Start the background runs, and return a reading of each check in the order of declaration.

        It takes no lock, because the state of a check is replaced as a whole, never modified.
        """
        self.start()
        now = self._clock.monotonic()
        return [slot.reading(now) for slot in self._slots.values() if not slot.chore]

    def reading(self, name: str) -> Reading | None:
        slot = self._slots.get(name)
        return None if slot is None else slot.reading(self._clock.monotonic())

    def take(self) -> tuple[list[Event], list[Reading]]:
        """Return the events since the last call, in order, and a reading of each check.

        Both are consistent: the readings reflect exactly the events so far.
        """
        self.start()
        with self._changed:
            events, self._events = self._events, []
            return events, self.readings()

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait at most ``timeout`` real seconds until ``condition`` is true, and return its value.

        The condition is evaluated after each run, while the runner is locked.
        """
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def wait_idle(self, timeout: float) -> bool:
        return self.wait_until(
            lambda: not any(slot.attempt for slot in self._slots.values()), timeout
        )

    def refresh(self, kinds: Collection[CheckKind], names: Collection[str] | None = None) -> None:
        """Run the checks of ``kinds``, or only those in ``names``, and wait at most until their deadlines.

        For ``combine_health.background = false``. Concurrent requests share one run.
        """
        self._launch_due()
        wanted = [slot for slot in self._slots.values() if self._is_wanted(slot, kinds, names)]
        joined = [(slot, attempt) for slot in wanted if (attempt := self._join(slot))]
        with self._changed:
            while True:
                now = self._clock.monotonic()
                self._next_due(now)
                ends = [
                    attempt.started + slot.check.timeout
                    for slot, attempt in joined
                    if slot.attempt is attempt and not attempt.overdue
                ]
                if not ends:
                    break
                self._changed.wait(max(0.0, min(ends) - now))
        self._report_events()

    def _is_wanted(
        self, slot: Slot, kinds: Collection[CheckKind], names: Collection[str] | None
    ) -> bool:
        if slot.chore:
            latest = slot.state.latest
            now = self._clock.monotonic()
            return latest is None or now - latest.started >= slot.check.interval
        named = names is None or slot.check.name in names
        return named and slot.check.kind in kinds and not slot.is_done

    def _join(self, slot: Slot) -> Attempt | None:
        with self._changed:
            if slot.attempt is not None or self._stopped:
                return slot.attempt
            attempt = slot.begin(self._clock.monotonic())
        self._launch(slot, attempt)
        return attempt

    # The schedule

    def run_due(self) -> float | None:
        """Start every run and record every timeout that is due.

        Returns the seconds until the next run or timeout, or ``None`` if nothing is planned.
        """
        self._launch_due()
        with self._changed:
            now = self._clock.monotonic()
            due = min((slot.due for slot in self._slots.values()), default=inf)
        self._report_events()
        return None if due == inf else max(0.0, due - now)

    @property
    def stopped(self) -> bool:
        return self._stopped

    def _launch_due(self) -> None:
        while True:
            with self._changed:
                slot = self._next_due(self._clock.monotonic())
                if slot is None:
                    return
                attempt = slot.begin(self._clock.monotonic())
            self._launch(slot, attempt)

    def _next_due(self, now: float) -> Slot | None:
        """Record the deadlines that have passed, and return a check whose run is due, if any."""
        for slot in self._slots.values():
            if slot.due > now:
                continue
            if slot.attempt is not None:
                self._add_events(slot.expire(slot.attempt, now, self._clock.wall()))
            elif not self._stopped:
                return slot
            else:
                slot.due = inf
        return None

    def _launch(self, slot: Slot, attempt: Attempt) -> None:
        """Start the run. Call it without the lock, so that other runs can end in the meantime."""
        try:
            self._pool.submit(partial(self._run, slot.check), partial(self._finish, slot, attempt))
        except RuntimeError as error:  # no thread could be started
            result = HealthResult(Status.FAILING, "no_thread", self._redactor.text(str(error)))
            self._finish(slot, attempt, (result, attempt.started))

    def _run(self, check: Check) -> tuple[HealthResult, float]:
        result = run(check, self._registry, self._redactor, self._loop.run)
        return result, self._clock.monotonic()  # measured before waiting for the lock

    def _finish(self, slot: Slot, attempt: Attempt, outcome: tuple[HealthResult, float]) -> None:
        result, now = outcome
        with self._changed:
            if slot.attempt is not attempt:
                return  # started before a fork
            self._add_events(slot.finish(attempt, result, now, self._clock.wall()))
            if self._stopped or not self._started:
                slot.due = inf
        if self._wake.empty():
            self._wake.put(None)
        self._report_events()

    def _add_events(self, events: Sequence[Event]) -> None:
        self._events += events
        self.changes += sum(isinstance(event, Change) for event in events)
        self._changed.notify_all()

    def _report_events(self) -> None:
        """Call ``notify`` if there are new events. Call it without the lock."""
        if not self._events or self._stopped:
            return
        try:
            self._notify()
        except Exception as error:  # noqa: BLE001 - reported; the checks continue
            report(error)


def _schedule(runner_ref: "weakref.ref[Runner]", wake: "SimpleQueue[None]") -> None:
    """Run the scheduler thread, which keeps no reference while it sleeps, so that runners can be freed."""
    while (runner := runner_ref()) is not None and not runner.stopped:
        try:
            delay = runner.run_due()
        except Exception as error:  # noqa: BLE001 - reported; the scheduler continues
            report(error)
            delay = 1.0
        del runner
        # A queue, not an Event: a finalizer may put an item while this thread is inside `get`.
        with suppress(Empty):
            wake.get(timeout=delay)
            while True:
                wake.get_nowait()


_LAST_LINE_S = 1.0  # seconds that a thread has at process exit to finish its current log line

_RUNNERS: "weakref.WeakSet[Runner]" = weakref.WeakSet()


def _at_exit() -> None:
    for runner in list(_RUNNERS):
        runner.stop()
    if _RUNNERS:
        _silence_other_threads()


def _silence_other_threads() -> None:
    """Lock the log handlers for the thread that ends the process.

    The interpreter aborts if a daemon thread is writing to stderr while it shuts down ("could not acquire
    lock for <_io.BufferedWriter name='<stderr>'>").
    """
    loggers = [log.root, *log.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            if handler.lock is not None:
                handler.lock.acquire(timeout=_LAST_LINE_S)


atexit.register(_at_exit)
