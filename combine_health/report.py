"""From readings to answers: the one place that decides what the endpoints say."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from .check import Check, Kind
from .execute import describe
from .redact import Redactor
from .result import Json, Status
from .state import PASSING, Reading

log = logging.getLogger("combine_health")

UNAVAILABLE = "unavailable"
LONGEST_RETRY = 30  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer in full: status code, body, and Retry-After in seconds where there is one."""

    status: int
    body: bytes
    retry_after: int | None = None


def overall(readings: Iterable[Reading]) -> str:
    """``healthy``, ``degraded``, ``starting`` or ``unavailable``; the first two are ready."""
    deciding = [one for one in readings if one.check.kind is not Kind.INFO]
    critical = {one.status for one in deciding if one.check.critical}
    if critical & {Status.FAILING, Status.UNKNOWN}:
        return UNAVAILABLE
    if Status.STARTING in critical:
        return Status.STARTING
    if any(one.status not in {Status.HEALTHY, Status.STARTING} for one in deciding):
        return Status.DEGRADED
    return Status.HEALTHY


def live(readings: Iterable[Reading]) -> Answer:
    """The answer of ``/health``: only a critical ``live`` check that fails makes it 503."""
    dead = [
        one.check
        for one in readings
        if one.check.kind is Kind.LIVE and one.check.critical and one.status is Status.FAILING
    ]
    if dead:
        return _answer(503, {"status": "unhealthy"}, _retry_after(dead))
    return _answer(200, {"status": "healthy"})


def ready(readings: Iterable[Reading]) -> Answer:
    """The answer of ``/health/ready``: 503 while a critical check does not stand at passing."""
    readings = list(readings)
    verdict = overall(readings)
    words = {one.check.name: _word(one) for one in readings if one.check.words}
    if verdict in PASSING:
        return _answer(200, {"status": "ready", **words})
    waiting = [one.check for one in readings if one.check.critical and not one.passing]
    return _answer(503, {"status": verdict, **words}, _retry_after(waiting))


def detailed(
    readings: Iterable[Reading], facts: Mapping[str, Json], sections: Mapping[str, Json]
) -> dict[str, Json]:
    """The full status for those who may see it; ``sections`` may replace ``facts``."""
    readings = list(readings)
    checks: dict[str, Json] = {one.check.name: _details(one) for one in readings}
    return {"status": overall(readings), **facts, **sections, "checks": checks}


def names_and_statuses(readings: Iterable[Reading]) -> dict[str, Json]:
    """The full status for everybody else."""
    readings = list(readings)
    checks: dict[str, Json] = {one.check.name: {"status": one.status} for one in readings}
    return {"status": overall(readings), "checks": checks}


def encode(body: Mapping[str, Json]) -> bytes:
    """``body`` as the bytes of a JSON document."""
    return json.dumps(body, allow_nan=False).encode()


def read_sections(
    sections: Mapping[str, Any], registry: Any, redactor: Redactor
) -> dict[str, Json]:
    """What the sections say now; one that raises is shown as the name of its error."""
    said: dict[str, Json] = {}
    for name, section in sections.items():
        try:
            said.update(redactor.data({name: section(registry)}))
        except Exception as error:  # noqa: BLE001 - logged and shown
            log.error("health section %s: %s", name, redactor.text(describe(error)))
            said[name] = f"error: {type(error).__name__}"
    return said


def _answer(status: int, body: Mapping[str, Json], retry_after: int | None = None) -> Answer:
    return Answer(status, encode(body), retry_after)


def _retry_after(checks: Iterable[Check]) -> int:
    return max(1, min(LONGEST_RETRY, ceil(min(check.interval for check in checks))))


def _word(one: Reading) -> str:
    assert one.check.words is not None
    good, bad = one.check.words
    if one.passing:
        return good
    return bad if one.status is Status.FAILING else Status.UNKNOWN


def _details(one: Reading) -> Json:
    state = one.state
    return {
        "status": one.status,
        "critical": one.check.critical,
        "kind": one.check.kind,
        "cause": one.cause,
        "remedy": one.remedy,
        "runbook": one.check.runbook,
        "detail": one.detail,
        "data": dict(one.data),  # type: ignore[arg-type]  # JSON already: the redactor made it
        "age_seconds": _rounded(one.age, 1),
        "duration_ms": _rounded(one.duration, 3, 1000),
        "running_seconds": _rounded(one.running_for, 1),
        "since": one.since.isoformat(timespec="seconds"),
        "never_healthy": not (state and state.ever_healthy),
        "passes": state.passes if state else 0,
        "failures": state.failures if state else 0,
        "runs": state.runs if state else 0,
        "timeouts": state.timeouts if state else 0,
        "transitions": state.transitions if state else 0,
    }


def _rounded(seconds: float | None, digits: int, scale: float = 1) -> float | None:
    return None if seconds is None else round(seconds * scale, digits)
