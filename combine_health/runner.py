"""Runs the checks: one run per check at a time, hard deadlines, on daemon threads.

One scheduler thread sleeps until the next check is due or the next deadline passes. A check that
ignores its deadline keeps its one thread, is reported as timed out and is not started again until
it returns. Readers only ever copy what is known: a probe never waits for a check (but see
`Runner.refresh`).
"""

import atexit
import logging
import os
import weakref
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from queue import Empty, SimpleQueue
from threading import Condition, Thread
from time import monotonic
from typing import Any

from .check import Check, Kind
from .execute import execute
from .pool import DaemonPool, report
from .redact import Redactor
from .result import HealthResult, Status
from .state import TIMEOUT, Outcome, Reading, State, read

log = logging.getLogger("combine_health")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from: every age and deadline is monotonic, the wall clock is only shown."""

    monotonic: Callable[[], float] = monotonic
    wall: Callable[[], datetime] = _utc_now


@dataclass(slots=True, eq=False)
class _Attempt:
    started: float
    overdue: bool = False


@dataclass(slots=True, eq=False)
class _Slot:
    check: Check
    state: State
    attempt: _Attempt | None = None
    wake: int = 0  # number of the one entry of the agenda that counts


class Runner:
    """Runs ``checks`` against ``registry`` and remembers what they found."""

    def __init__(
        self,
        checks: Iterable[Check],
        registry: Any,
        redactor: Redactor,
        *,
        background: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self._checks = tuple(checks)
        self._registry = registry
        self._redactor = redactor
        self._background = background
        self._clock = clock or Clock()
        self.moved = 0
        """How often any check has changed its status; readers compare it to know what is new."""
        self._reset()
        _RUNNERS.add(self)

    def _reset(self) -> None:
        """Begin afresh; also in a fork's child, where the parent's threads and locks are void."""
        self.moved += 1
        self._changed = Condition()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._started = False
        self._stopped = False
        self._agenda: list[tuple[float, int, _Slot]] = []
        self._numbers = count(1)
        self._pool: DaemonPool[HealthResult] = DaemonPool()
        since = self._clock.wall()
        self._slots = {check.name: _Slot(check, State(since)) for check in self._checks}
        self._moves: list[tuple[Check, State, State]] = []

    # Starting and stopping

    def start(self) -> None:
        """Begin to run in the background; once is enough, later calls do nothing."""
        if self._begun() or not self._background:
            return
        with self._changed:
            if self._begun():
                return
            self._started = True
            now = self._clock.monotonic()
            for slot in self._slots.values():
                self._plan(slot, now)
        try:
            Thread(
                target=_schedule, args=(weakref.ref(self), self._wake), name="health", daemon=True
            ).start()
        except RuntimeError:  # the system gives no thread; the next probe tries again
            log.exception("the health checks cannot start")
            self._started = False
            return
        weakref.finalize(self, self._wake.put, None).atexit = False

    def _begun(self) -> bool:
        return self._started or self._stopped

    def stop(self) -> None:
        """Start no further run. Runs under way are left alone; nobody waits for them."""
        with self._changed:
            self._stopped = True
        self._wake.put(None)

    # Reading

    def readings(self) -> list[Reading]:
        """Every check as it stands now, in the order of declaration. Starts the background runs.

        It takes no lock: what a slot holds is replaced whole, never changed.
        """
        self.start()
        now = self._clock.monotonic()
        return [self._read(slot, now) for slot in self._slots.values()]

    def reading(self, name: str) -> Reading | None:
        """One check as it stands now; ``None`` if there is none of that name."""
        slot = self._slots.get(name)
        return None if slot is None else self._read(slot, self._clock.monotonic())

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no run is under way, at most ``timeout`` real seconds; for tests."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not any(slot.attempt for slot in self._slots.values()), timeout
            )

    def refresh(self, kinds: Collection[Kind]) -> None:
        """Run the checks of ``kinds`` now and wait for them, each at most until its deadline.

        For ``combine_health.background = false``. Requests at the same time share one run.
        """
        with self._changed:
            now = self._clock.monotonic()
            self._tick(now)
            slots = [s for s in self._slots.values() if s.check.kind in kinds and not _is_done(s)]
            for slot in slots:
                if slot.attempt is None and not self._stopped:
                    self._begin(slot, now)
            waiting = [(slot, slot.attempt) for slot in slots if slot.attempt is not None]
            while True:
                now = self._clock.monotonic()
                self._tick(now)
                ends = [
                    attempt.started + slot.check.timeout
                    for slot, attempt in waiting
                    if slot.attempt is attempt and not attempt.overdue
                ]
                if not ends:
                    break
                self._changed.wait(max(0.0, min(ends) - now))
        self._tell()

    # The machine

    def tick(self) -> float | None:
        """Do all that is due; return the seconds until the next thing is, if there is any."""
        with self._changed:
            now = self._clock.monotonic()
            self._tick(now)
            delay = None if not self._agenda else max(0.0, self._agenda[0][0] - now)
        self._tell()
        return delay

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def _tick(self, now: float) -> None:
        while self._agenda and self._agenda[0][0] <= now:
            _, number, slot = heappop(self._agenda)
            if number != slot.wake:
                continue  # replaced by a later plan
            if slot.attempt is not None:
                self._overdue(slot, slot.attempt, now)
            elif not self._stopped:
                self._begin(slot, now)

    def _plan(self, slot: _Slot, when: float) -> None:
        slot.wake = next(self._numbers)
        heappush(self._agenda, (when, slot.wake, slot))
        if len(self._agenda) > 2 * len(self._slots) + 64:  # long deadlines that were met
            self._agenda = [entry for entry in self._agenda if entry[1] == entry[2].wake]
            heapify(self._agenda)

    def _begin(self, slot: _Slot, now: float) -> None:
        attempt = slot.attempt = _Attempt(now)
        self._plan(slot, now + slot.check.timeout)
        try:
            self._pool.submit(
                partial(_run, slot.check, self._registry, self._redactor),
                partial(self._finish, slot, attempt),
            )
        except RuntimeError as error:  # the system gives no thread
            slot.attempt = None
            result = HealthResult(Status.FAILING, "no_thread", self._redactor.text(str(error)))
            self._record(slot, result, now, now)
            self._plan_next(slot, attempt, now)

    def _overdue(self, slot: _Slot, attempt: _Attempt, now: float) -> None:
        attempt.overdue = True
        detail = f"no answer within {slot.check.timeout:g} s"
        self._record(slot, HealthResult(Status.FAILING, TIMEOUT, detail), attempt.started, now)
        if slot.state.failures < slot.check.fall:
            # Each further interval it hangs counts, or a hung check would never reach its fall.
            self._plan(slot, now + slot.check.interval)
        self._changed.notify_all()

    def _finish(self, slot: _Slot, attempt: _Attempt, result: HealthResult) -> None:
        with self._changed:
            if slot.attempt is not attempt:
                return  # of a run before a fork
            now = self._clock.monotonic()
            slot.attempt = None
            took = now - attempt.started
            if took >= slot.check.timeout:
                result = HealthResult(Status.FAILING, TIMEOUT, f"answered after {took:.1f} s")
            if attempt.overdue:  # counted already; only what is known of it is newer now
                slot.state = replace(slot.state, latest=_outcome(result, attempt.started, now))
            else:
                self._record(slot, result, attempt.started, now)
            self._plan_next(slot, attempt, now)
            self._changed.notify_all()
        if self._wake.empty():
            self._wake.put(None)
        self._tell()

    def _plan_next(self, slot: _Slot, attempt: _Attempt, now: float) -> None:
        if self._started and not self._stopped and not _is_done(slot):
            self._plan(slot, max(now, attempt.started + slot.check.interval))
        else:
            slot.wake = 0

    def _record(self, slot: _Slot, found: HealthResult, started: float, now: float) -> None:
        outcome = _outcome(found, started, now)
        before = slot.state
        slot.state = before.after(outcome, slot.check, self._clock.wall())
        if before.settled is not slot.state.settled:
            self.moved += 1
            self._moves.append((slot.check, before, slot.state))

    def _read(self, slot: _Slot, now: float) -> Reading:
        attempt = slot.attempt
        return read(slot.check, slot.state, attempt.started if attempt else None, now)

    def _tell(self) -> None:
        """Log what changed, outside the lock: a log handler that blocks must not block a probe."""
        if not self._moves:
            return
        with self._changed:
            moves, self._moves = self._moves, []
        for check, before, after in moves:
            try:
                _log_move(check, before, after)
            except Exception as error:  # noqa: BLE001 - a log handler that raises
                report(error)


def _outcome(found: HealthResult, started: float, now: float) -> Outcome:
    return Outcome(Status(found.status), found.cause, found.detail, found.data, started, now)


def _run(check: Check, registry: Any, redactor: Redactor) -> HealthResult:
    """Run the check and clean what it says, all on its own thread. Never raises."""
    try:
        return redactor.result(execute(check, registry))
    except Exception as error:  # noqa: BLE001 - reported: texts or data that cannot be read
        detail = f"the result cannot be read: {type(error).__name__}"
        return HealthResult(Status.FAILING, "bad_result", detail)


def _is_done(slot: _Slot) -> bool:
    return slot.check.kind is Kind.STARTUP and slot.state.ever_healthy


def _log_move(check: Check, before: State, after: State) -> None:
    latest = after.latest
    if latest is None:
        return
    if after.settled is Status.HEALTHY:
        log.info("health check %s: %s -> %s", check.name, before.settled, after.settled)
        return
    log.warning(
        "health check %s: %s -> %s, cause %s: %s. Remedy: %s",
        check.name,
        before.settled,
        after.settled,
        latest.cause,
        latest.detail,
        check.remedy_for(latest.cause) or "none declared",
    )


def _schedule(runner_ref: "weakref.ref[Runner]", wake: "SimpleQueue[None]") -> None:
    """The scheduler thread. It holds no runner while it sleeps: an abandoned one is collected."""
    while (runner := runner_ref()) is not None and not runner.stopped:
        try:
            delay = runner.tick()
        except Exception as error:  # noqa: BLE001 - reported, and it goes on
            report(error)
            delay = 1.0
        del runner
        # A queue and no Event: a finalizer may put into it while this thread is inside of it.
        with suppress(Empty):
            wake.get(timeout=delay)
            while True:
                wake.get_nowait()


_RUNNERS: "weakref.WeakSet[Runner]" = weakref.WeakSet()


def _after_fork() -> None:
    for runner in list(_RUNNERS):
        runner._reset()  # noqa: SLF001 - this module's own class


def _at_exit() -> None:
    for runner in list(_RUNNERS):
        runner.stop()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
