"""Defines the declaration of a check, and the result that a check returns."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from re import compile as pattern
from typing import Any, Literal, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

# Remedies for the causes that the framework itself reports. A check's `remedies` may override them.
# A check's `remedy` does not: it is for failures of the dependency, not of the check.
FRAMEWORK_REMEDIES: Mapping[str, str] = {
    "exception": "The check {name} raised an unhandled exception: read the detail. Correct the cause that"
    " it names, or report it to the author of the check.",
    "timeout": "The check {name} did not finish within {timeout:g} s. The dependency is slow, overloaded"
    " or unreachable. If it is only slow, raise combine_health.check.{name}.timeout.",
    "no_thread": "The process cannot start another thread. Raise its limits (ulimit -u, the PID limit of"
    " the container), or look for threads that never end.",
    "bad_result": "The check {name} returned an invalid result. Report it to the author of the check.",
    "stale": "The check {name} has not run for too long. Look for an overloaded or suspended machine;"
    " if there is none, restart the process.",
    "masked": "The cause of the check {name} contains a secret. Report it to the author of the check.",
}
CAUSE = pattern(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


class Status(StrEnum):
    """The state of one check. A check itself returns one of the first three."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"  # works with reduced capacity; still ready
    FAILING = "failing"
    UNKNOWN = "unknown"  # the last result is too old
    STARTING = "starting"  # no result yet, or fewer failures than ``fall``


@dataclass(frozen=True, slots=True)
class HealthResult:
    """The result of one run of a check.

    ``status`` is ``healthy``, ``degraded`` or ``failing``. ``cause`` is a stable code that selects the
    remedy (letters, digits, ``_.-``; at most 64 characters). ``detail`` is one sentence for people, and
    ``data`` contains typed fields; both are truncated and redacted before they are shown. Raises
    `ValueError` for any other status or an invalid cause.
    """

    status: Status | Literal["healthy", "degraded", "failing"]
    cause: str | None = None
    detail: str | None = None
    data: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in {Status.HEALTHY, Status.DEGRADED, Status.FAILING}:
            raise ValueError("status must be 'healthy', 'degraded' or 'failing'")
        cause: object = self.cause
        if cause is not None and not (isinstance(cause, str) and CAUSE.fullmatch(cause)):
            raise ValueError(
                "cause must be a code of letters, digits and _.- with at most 64 characters"
            )
        if not isinstance(self.data, Mapping):
            raise ValueError("data must be a mapping")

    @classmethod
    def healthy(cls, detail: str | None = None, **data: object) -> "HealthResult":
        """Report that everything works. ``data`` are the typed fields."""
        return cls(Status.HEALTHY, None, detail, data)

    @classmethod
    def degraded(cls, cause: str, detail: str | None = None, **data: object) -> "HealthResult":
        """Report that the dependency works with reduced capacity or reserves."""
        return cls(Status.DEGRADED, cause, detail, data)

    @classmethod
    def failing(cls, cause: str, detail: str | None = None, **data: object) -> "HealthResult":
        """Report that the dependency does not work."""
        return cls(Status.FAILING, cause, detail, data)


CheckAnswer: TypeAlias = HealthResult | bool | None
CheckFunction: TypeAlias = Callable[[Any], CheckAnswer | Awaitable[CheckAnswer]]

NAME = pattern(r"[a-z][a-z0-9_-]{0,63}")
TAKEN = frozenset({"status", "checks"})
LONGEST = 24 * 3600.0


class CheckKind(StrEnum):
    """The probe that a check decides."""

    LIVE = "live"  # /health, for failures that only a restart of the process fixes
    READY = "ready"  # /health/ready
    STARTUP = "startup"  # like ready until it has passed once; then it is not run again
    INFO = "info"  # none; the result is only shown


@dataclass(frozen=True, slots=True)
class Check:
    """A declared check. Times are in seconds.

    ``fall`` failures in a row make a healthy check failing, and ``rise`` passes in a row make a failing
    check healthy again. ``words`` are the public words (good, bad) under the check's name in the body
    of /health/ready. Raises `ValueError` with every error of the declaration.
    """

    name: str
    function: CheckFunction
    kind: CheckKind = CheckKind.READY
    critical: bool = True
    timeout: float = 1.0
    interval: float = 2.0
    fall: int = 1
    rise: int = 1
    words: tuple[str, str] | None = None
    remedy: str | None = None
    remedies: Mapping[str, str] = field(default_factory=dict)
    runbook: str | None = None
    groups: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ValueError(f"health check {self.name!r}: " + "; ".join(problems))

    @property
    def expiry(self) -> float:
        """The age in seconds at which a result expires: three intervals, or three timeouts if longer.

        Without the timeouts, a slow but healthy check would alternate between healthy and unknown.
        """
        return 3 * max(self.interval, self.timeout)

    def remedy_for(self, cause: str | None) -> str | None:
        cause = cause or ""
        if cause in FRAMEWORK_REMEDIES and cause not in self.remedies:
            return FRAMEWORK_REMEDIES[cause].format(name=self.name, timeout=self.timeout)
        return self.remedies.get(cause, self.remedy)

    def _problems(self) -> list[str]:
        unchecked: Any = self  # the arguments may come from code that is not type-checked
        found: list[str] = []
        if not (isinstance(unchecked.name, str) and NAME.fullmatch(unchecked.name)):
            found.append("the name must be 1 to 64 of a-z, 0-9, _ and -, starting with a letter")
        if unchecked.name in TAKEN:
            found.append(f"the name {unchecked.name!r} is a key of the body of /health/ready")
        if not callable(unchecked.function):
            found.append(f"the check must be callable, not {type(unchecked.function).__name__}")
        if unchecked.kind not in set(CheckKind):
            found.append(f"kind must be one of {', '.join(CheckKind)}")
        if not isinstance(unchecked.critical, bool):
            found.append("critical must be true or false")
        for name, number in (("timeout", unchecked.timeout), ("interval", unchecked.interval)):
            if not _is_seconds(number):
                found.append(f"{name} must be a number of seconds above 0, at most {LONGEST:.0f}")
        for name, count in (("fall", unchecked.fall), ("rise", unchecked.rise)):
            if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 100:
                found.append(f"{name} must be a whole number from 1 to 100")
        if unchecked.words is not None and not (
            isinstance(unchecked.words, tuple)
            and len(unchecked.words) == 2
            and all(isinstance(word, str) and word for word in unchecked.words)
        ):
            found.append("words must be a pair, such as ('connected', 'disconnected')")
        for name, text in (("remedy", unchecked.remedy), ("runbook", unchecked.runbook)):
            if not (text is None or isinstance(text, str)):
                found.append(f"{name} must be a string")
        if not _are_strings(unchecked.groups) or not all(map(NAME.fullmatch, unchecked.groups)):
            found.append("groups must be a tuple of names such as 'web'")
        if not _are_strings(unchecked.endpoints):
            found.append("endpoints must be a tuple of URIs such as '/api/v1/runs'")
        if not _are_strings(tuple(unchecked.remedies.values())):
            found.append("remedies must be strings")
        found.extend(
            f"the cause {cause!r} of a remedy is not a code of letters, digits and _.-"
            for cause in unchecked.remedies
            if not (isinstance(cause, str) and CAUSE.fullmatch(cause))
        )
        return found


def own_remedies(function: object) -> Mapping[str, str]:
    """Return the remedies in the attribute ``remedies`` of a check, as built-in checks have it."""
    own = getattr(function, "remedies", None)
    return own if isinstance(own, Mapping) else {}


def own_secrets(function: object) -> tuple[str, ...]:
    """Return the secrets in the attribute ``secrets`` of a check, such as the password in its URL."""
    own = getattr(function, "secrets", None)
    return own if isinstance(own, tuple) else ()


def _are_strings(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, str) and item for item in value)


def _is_seconds(number: Any) -> bool:
    return (
        isinstance(number, int | float)
        and not isinstance(number, bool)
        and isfinite(number)
        and 0 < number <= LONGEST
    )
