"""What happened: a check ran, a status changed. These are what listeners are handed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

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
