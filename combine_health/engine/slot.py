"""One check of a runner: when it is due, the run under way, and what is known. No threads, no locks."""

from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import TypeAlias

from combine_health.engine.check import Check, CheckKind, HealthResult, Status
from combine_health.engine.state import TIMEOUT, Change, CheckRun, Reading, RunOutcome, State, read

Happened: TypeAlias = Change | CheckRun


@dataclass(slots=True, eq=False)
class Attempt:
    """A run under way. ``overdue``: its deadline has passed, and that is recorded."""

    started: float
    overdue: bool = False


@dataclass(slots=True, eq=False)
class Slot:
    """A check and its schedule. Times are monotonic seconds.

    ``due`` is when the next run starts or, during a run, when its deadline passes. ``skipped`` counts
    runs that were left out because an earlier one hung. A ``chore`` is not shown.
    """

    check: Check
    state: State
    chore: bool = False
    attempt: Attempt | None = None
    skipped: int = 0
    due: float = inf

    @property
    def is_done(self) -> bool:
        """Whether it never runs again."""
        return self.check.kind is CheckKind.STARTUP and self.state.ever_healthy

    def begin(self, now: float) -> Attempt:
        self.attempt = Attempt(now)
        self.due = now + self.check.timeout
        return self.attempt

    def expire(self, attempt: Attempt, now: float, wall: datetime) -> list[Happened]:
        """Record that the deadline of the run has passed."""
        attempt.overdue = True
        detail = f"no answer within {self.check.timeout:g} s"
        result = HealthResult(Status.FAILING, TIMEOUT, detail)
        happened = self._record(result, attempt.started, now, wall)
        # Each further interval counts as a failure, or a hung check would never reach `fall`.
        falls = self.state.failures < self.check.fall
        self.due = now + self.check.interval if falls else inf
        return happened

    def finish(
        self, attempt: Attempt, result: HealthResult, now: float, wall: datetime
    ) -> list[Happened]:
        """Record the result of the run, and plan the next one."""
        self.attempt = None
        took = now - attempt.started
        if attempt.overdue or took >= self.check.timeout:
            result = HealthResult(Status.FAILING, TIMEOUT, f"answered after {took:.1f} s")
        happened = []
        if attempt.overdue:  # counted already; only its result is new
            self.skipped += int(took / self.check.interval)
            self.state = replace(self.state, latest=_outcome(result, attempt.started, now))
        else:
            happened = self._record(result, attempt.started, now, wall)
        self.due = inf if self.is_done else max(now, attempt.started + self.check.interval)
        return happened

    def reading(self, now: float) -> Reading:
        attempt = self.attempt
        return read(self.check, self.state, attempt.started if attempt else None, now, self.skipped)

    def _record(
        self, result: HealthResult, started: float, now: float, wall: datetime
    ) -> list[Happened]:
        outcome = _outcome(result, started, now)
        before = self.state
        self.state = before.after(outcome, self.check, wall)
        if self.chore:
            return []
        name, took = self.check.name, now - started
        status, cause, detail, data = outcome.status, outcome.cause, outcome.detail, outcome.data
        happened: list[Happened] = [CheckRun(name, status, cause, detail, data, took, wall)]
        if before.settled is not self.state.settled:
            happened.append(self.state.recent[-1])
        return happened


def _outcome(found: HealthResult, started: float, now: float) -> RunOutcome:
    return RunOutcome(Status(found.status), found.cause, found.detail, found.data, started, now)
