"""What a check answers, and the words for a check's status."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from re import compile as pattern
from typing import Literal, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

CAUSE = pattern(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


class Status(StrEnum):
    """The state of one check. A check itself answers one of the first three."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"  # works, with less than it should have; still ready
    FAILING = "failing"
    UNKNOWN = "unknown"  # the last result is too old to be believed
    STARTING = "starting"  # no settled result yet


@dataclass(frozen=True, slots=True)
class HealthResult:
    """What a check found.

    ``status`` is ``healthy``, ``degraded`` or ``failing``. ``cause`` is a stable code that remedies
    are looked up by (letters, digits, ``_.-``; at most 64). ``detail`` is one sentence for people
    and ``data`` holds typed fields; both are shortened and redacted before anything shows them.
    Raises `ValueError` for another status or an odd cause.
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
                "cause must be a code: letters, digits and _.- , at most 64 characters"
            )
        if not isinstance(self.data, Mapping):
            raise ValueError("data must be a mapping")

    @classmethod
    def healthy(cls, detail: str | None = None, **data: object) -> "HealthResult":
        """All is well; ``data`` becomes the typed fields."""
        return cls(Status.HEALTHY, None, detail, data)

    @classmethod
    def degraded(cls, cause: str, detail: str | None = None, **data: object) -> "HealthResult":
        """It works, with less than it should have."""
        return cls(Status.DEGRADED, cause, detail, data)

    @classmethod
    def failing(cls, cause: str, detail: str | None = None, **data: object) -> "HealthResult":
        """It does not work, because of ``cause``."""
        return cls(Status.FAILING, cause, detail, data)
