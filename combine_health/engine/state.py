"""Tracks the schedule of a check, and derives its status from its results, without threads and locks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf
from typing import TypeAlias

from combine_health.engine.check import Check, CheckKind, HealthResult, Status

KEPT_PER_CHECK = 20  # transitions
KEPT = 50  # transitions of the service


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the status of the service or of one check.

    ``check`` is the check's name, or ``None`` for the service as a whole. A check has the statuses of
    `combine_health.Status`. The service has ``healthy``, ``degraded``, ``starting``, ``unavailable``,
    ``maintenance`` and ``draining``. ``cause`` is a code; for the service, it is the deciding check and
    its cause, such as ``database.refused``. ``detail`` is a redacted sentence, ``remedy`` is the action
    to take, and ``at`` is the time with its zone.
    """

    check: str | None
    before: str
    after: str
    cause: str | None
    detail: str | None
    remedy: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class CheckRun:
    """A run of a check that ended or passed its deadline (cause ``timeout``).

    ``status`` is the result of this run: ``healthy``, ``degraded`` or ``failing``. The status of the
    check also depends on its thresholds. ``detail`` and ``data`` are redacted, and ``duration`` is in
    seconds.
    """

    check: str
    status: str
    cause: str | None
    detail: str | None
    data: Mapping[str, object]
    duration: float
    at: datetime


Event: TypeAlias = Change | CheckRun


def remember(kept: tuple[Change, ...], change: Change, most: int) -> tuple[Change, ...]:
    return (*kept, change)[-most:]


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The redacted outcome of one run that ended or timed out. Times are monotonic seconds."""

    status: Status
    cause: str | None
    detail: str | None
    data: Mapping[str, object]
    started: float
    finished: float


@dataclass(frozen=True, slots=True)
class State:
    """The state of one check after its runs so far."""

    since: datetime
    settled: Status = Status.STARTING
    latest: RunOutcome | None = None
    last_failure: RunOutcome | None = None
    last_pass: float | None = None
    passes: int = 0  # in a row
    failures: int = 0  # in a row
    ever_healthy: bool = False
    runs: int = 0
    timeouts: int = 0
    transitions: int = 0
    recent: tuple[Change, ...] = ()  # the latest transitions, newest last

    def after(self, outcome: RunOutcome, check: Check, wall: datetime) -> "State":
        """Return the state after one more outcome.

        A check that was never healthy is *starting* until ``fall`` failures in a row, and healthy
        after its first pass: ``rise`` applies only to the recovery of a failing check.
        """
        failed = outcome.status is Status.FAILING
        passes = 0 if failed else self.passes + 1
        failures = self.failures + 1 if failed else 0
        settled = self.settled
        if failed and failures >= check.fall:
            settled = Status.FAILING
        elif not failed and (self.settled is not Status.FAILING or passes >= check.rise):
            settled = outcome.status
        moved = settled is not self.settled
        recent = self.recent
        if moved:
            remedy = None if settled is Status.HEALTHY else check.remedy_for(outcome.cause)
            change = Change(
                check.name, self.settled, settled, outcome.cause, outcome.detail, remedy, wall
            )
            recent = remember(recent, change, KEPT_PER_CHECK)
        return replace(
            self,
            since=wall if moved else self.since,
            settled=settled,
            latest=outcome,
            last_failure=outcome if failed else self.last_failure,
            last_pass=self.last_pass if failed else outcome.finished,
            passes=passes,
            failures=failures,
            ever_healthy=self.ever_healthy or settled in PASSING,
            runs=self.runs + 1,
            timeouts=self.timeouts + (outcome.cause == TIMEOUT),
            transitions=self.transitions + moved,
            recent=recent,
        )


PASSING = frozenset({Status.HEALTHY, Status.DEGRADED})
TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of one check at the moment of reading. Ages and durations are in seconds."""

    check: Check
    status: Status
    since: datetime
    cause: str | None = None
    detail: str | None = None
    data: Mapping[str, object] = field(default_factory=dict)
    age: float | None = None
    duration: float | None = None
    running_for: float | None = None
    state: State | None = None
    good_until: float = inf
    """The monotonic time at which this reading expires even if no run ends before."""
    skipped: int = 0
    """The number of runs that were skipped because an earlier run hung."""

    @property
    def passing(self) -> bool:
        return self.status in PASSING

    @property
    def remedy(self) -> str | None:
        """The action to take, or ``None`` if the check is healthy."""
        return None if self.status is Status.HEALTHY else self.check.remedy_for(self.cause)


def read(
    check: Check, state: State, running_since: float | None, now: float, skipped: int = 0
) -> Reading:
    """Return the reading at ``now``. A check whose result has expired is unknown."""
    running_for = None if running_since is None else now - running_since
    latest = state.latest
    deadline = inf if running_since is None else running_since + check.timeout
    if running_for is not None and now >= deadline:
        skipped += int(running_for / check.interval)
    if latest is None:
        return Reading(
            check,
            state.settled,
            state.since,
            running_for=running_for,
            state=state,
            good_until=deadline if deadline >= now else inf,
            skipped=skipped,
        )
    age = max(0.0, now - latest.finished)
    status, cause, detail = state.settled, latest.cause, latest.detail
    expires = latest.finished + check.expiry
    if check.kind is CheckKind.STARTUP and state.ever_healthy:
        expires = inf
    hung = now >= deadline
    if hung and status is Status.FAILING:
        expires = inf  # it keeps failing while it hangs
    if now > expires:
        status, cause = Status.UNKNOWN, "stale"
        detail = f"the last result is {age:.0f} s old; it should run every {check.interval:g} s"
    elif hung:
        cause, detail = TIMEOUT, f"running for {running_for:.0f} s"
    elif status is Status.FAILING and latest.status is not Status.FAILING and state.last_failure:
        # The check passes again, but fewer than `rise` times, so show the cause of the failure.
        cause = state.last_failure.cause
        detail = f"passed {state.passes} of {check.rise} times since"
    return Reading(
        check,
        status,
        state.since,
        cause,
        detail,
        latest.data,
        age,
        latest.finished - latest.started,
        running_for,
        state,
        min((at for at in (expires, deadline) if at >= now), default=inf),
        skipped,
    )


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
