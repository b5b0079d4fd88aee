"""How results become a status: thresholds, expiry, what a reader sees. Pure, no threads."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf

from combine_health.engine.check import Check, CheckKind, Status

KEPT_PER_CHECK = 20
KEPT = 50  # of the service


@dataclass(frozen=True, slots=True)
class Change:
    """The service, or one check, went from one status to another.

    ``check`` is the check's name, and ``None`` for the service as a whole. The statuses of a check
    are those of `combine_health.Status`, those of the service ``healthy``, ``degraded``,
    ``starting``, ``unavailable``, ``maintenance`` and ``draining``. ``cause`` is a code (of the
    service: the check that decided and its cause, ``database.refused``), ``detail`` a sentence,
    redacted, ``remedy`` what to do, ``at`` the time with its zone.
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
    """One run of a check has ended, or has passed its deadline (cause ``timeout``).

    ``status`` is what this run found: ``healthy``, ``degraded`` or ``failing``; the check's status
    follows by its thresholds. ``detail`` and ``data`` are redacted, ``duration`` is seconds.
    """

    check: str
    status: str
    cause: str | None
    detail: str | None
    data: Mapping[str, object]
    duration: float
    at: datetime


def remember(kept: tuple[Change, ...], change: Change, most: int) -> tuple[Change, ...]:
    """``kept`` with ``change`` at its end, and no more than ``most`` of them."""
    return (*kept, change)[-most:]


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """One finished (or timed-out) run, already redacted. Times are monotonic seconds."""

    status: Status
    cause: str | None
    detail: str | None
    data: Mapping[str, object]
    started: float
    finished: float


@dataclass(frozen=True, slots=True)
class State:
    """What the runs of one check have come to."""

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
    recent: tuple[Change, ...] = ()  # the last transitions, the newest at the end

    def after(self, outcome: RunOutcome, check: Check, wall: datetime) -> "State":
        """The state after one more outcome.

        A check that has never been healthy is *starting* until ``fall`` failures in a row, and
        healthy at its first pass: ``rise`` guards the recovery of a failing check only.
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
    """One check as it stands at the moment of reading. Ages and durations are seconds."""

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
    """The monotonic time at which it reads differently although nothing has been recorded."""
    skipped: int = 0
    """Runs that did not take place because the one before them hung."""

    @property
    def passing(self) -> bool:
        """Whether the check stands at healthy or degraded."""
        return self.status in PASSING

    @property
    def remedy(self) -> str | None:
        """What to do, when there is something to do."""
        return None if self.status is Status.HEALTHY else self.check.remedy_for(self.cause)


def read(
    check: Check, state: State, running_since: float | None, now: float, skipped: int = 0
) -> Reading:
    """What ``state`` says at ``now``: age is computed here, and a result too old is unknown."""
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
        expires = inf  # it fails for as long as it hangs
    if now > expires:
        status, cause = Status.UNKNOWN, "stale"
        detail = f"the last result is {age:.0f} s old, one is due every {check.interval:g} s"
    elif hung:
        cause, detail = TIMEOUT, f"running for {running_for:.0f} s"
    elif status is Status.FAILING and latest.status is not Status.FAILING and state.last_failure:
        # Passing again, not often enough yet: the reader wants to know what it was.
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
