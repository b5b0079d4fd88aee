"""Tracks the schedule, the current run and the state of one check, without threads and locks."""

from dataclasses import dataclass, replace
from datetime import datetime
from math import inf

from combine_health.engine.check import Check, CheckKind, HealthResult, Status
from combine_health.engine.state import TIMEOUT, CheckRun, Event, Reading, RunOutcome, State, read


@dataclass(slots=True, eq=False)
class Attempt:
    """A current run. ``overdue`` is set when the run has been recorded as timed out."""

    started: float
    overdue: bool = False


@dataclass(slots=True, eq=False)
class Slot:
    """A check and its schedule. Times are monotonic seconds.

    ``due`` is the start of the next run or, during a run, its deadline. ``skipped`` counts the runs
    that were skipped because an earlier run hung. A ``chore`` is not shown.
    """

    check: Check
    state: State
    chore: bool = False
    attempt: Attempt | None = None
    skipped: int = 0
    due: float = inf

    @property
    def is_done(self) -> bool:
        """True if the check never runs again."""
        return self.check.kind is CheckKind.STARTUP and self.state.ever_healthy

    def begin(self, now: float) -> Attempt:
        self.attempt = Attempt(now)
        self.due = now + self.check.timeout
        return self.attempt

    def expire(self, attempt: Attempt, now: float, wall: datetime) -> list[Event]:
        """Record that the deadline of the run has passed."""
        attempt.overdue = True
        detail = f"no answer within {self.check.timeout:g} s"
        result = HealthResult(Status.FAILING, TIMEOUT, detail)
        events = self._record(result, attempt.started, now, wall)
        # Each further interval counts as a failure, or a hung check would never reach `fall`.
        below_fall = self.state.failures < self.check.fall
        self.due = now + self.check.interval if below_fall else inf
        return events

    def finish(
        self, attempt: Attempt, result: HealthResult, now: float, wall: datetime
    ) -> list[Event]:
        """Record the result of the run, and plan the next run."""
        self.attempt = None
        duration = now - attempt.started
        if attempt.overdue or duration >= self.check.timeout:
            result = HealthResult(Status.FAILING, TIMEOUT, f"answered after {duration:.1f} s")
        events = []
        if attempt.overdue:  # counted already; only its result is new
            self.skipped += int(duration / self.check.interval)
            self.state = replace(self.state, latest=_outcome(result, attempt.started, now))
        else:
            events = self._record(result, attempt.started, now, wall)
        self.due = inf if self.is_done else max(now, attempt.started + self.check.interval)
        return events

    def reading(self, now: float) -> Reading:
        attempt = self.attempt
        return read(self.check, self.state, attempt.started if attempt else None, now, self.skipped)

    def _record(
        self, result: HealthResult, started: float, now: float, wall: datetime
    ) -> list[Event]:
        outcome = _outcome(result, started, now)
        before = self.state
        self.state = before.after(outcome, self.check, wall)
        if self.chore:
            return []
        name, duration = self.check.name, now - started
        status, cause, detail, data = outcome.status, outcome.cause, outcome.detail, outcome.data
        events: list[Event] = [CheckRun(name, status, cause, detail, data, duration, wall)]
        if before.settled is not self.state.settled:
            events.append(self.state.recent[-1])
        return events


def _outcome(result: HealthResult, started: float, now: float) -> RunOutcome:
    return RunOutcome(Status(result.status), result.cause, result.detail, result.data, started, now)
