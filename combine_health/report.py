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
from .state import Reading
from .verdict import Circumstances, judge

log = logging.getLogger("combine_health")

JSON = "application/json"
RETRY = 2  # seconds, where no check's interval says when to ask again
LONGEST_RETRY = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer in full: status code, body, and Retry-After in seconds where there is one."""

    status: int
    body: bytes
    retry_after: int | None = None
    content_type: str = JSON

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers but Content-Length, Date and those of the connection."""
        headers = [
            ("Content-Type", self.content_type),
            ("Cache-Control", "no-store"),
            ("Vary", "Accept"),
        ]
        if self.retry_after is not None:
            headers.append(("Retry-After", str(self.retry_after)))
        return headers


def live(readings: Iterable[Reading], circumstances: Circumstances) -> Answer:
    """The answer of ``/health``: 503 while a critical ``live`` check fails, or no worker moves."""
    dead = [
        one.check
        for one in readings
        if one.check.kind is Kind.LIVE and one.check.critical and one.status is Status.FAILING
    ]
    if dead or circumstances.stuck:
        return _answer(503, {"status": "unhealthy"}, _retry_after(dead))
    return _answer(200, {"status": "healthy"})


def ready(readings: Iterable[Reading], circumstances: Circumstances) -> Answer:
    """The answer of ``/health/ready``: 503 unless requests should come here."""
    readings = list(readings)
    verdict = judge(readings, circumstances)
    words = {one.check.name: _word(one) for one in readings if one.check.words}
    if verdict.status.ready:
        return _answer(200, {"status": "ready", **words})
    return _answer(503, {"status": verdict.status, **words}, _retry_after(verdict.checks))


def startup(readings: Iterable[Reading]) -> Answer:
    """The answer of ``/health/startup``: 503 until each critical ``startup`` check has passed."""
    waiting = [
        one.check
        for one in readings
        if one.check.kind is Kind.STARTUP and one.check.critical and not one.passing
    ]
    if waiting:
        return _answer(503, {"status": "starting"}, _retry_after(waiting))
    return _answer(200, {"status": "started"})


def detailed(
    readings: Iterable[Reading],
    circumstances: Circumstances,
    facts: Mapping[str, Json],
    sections: Mapping[str, Json],
) -> dict[str, Json]:
    """The full status for those who may see it; ``sections`` may replace ``facts``."""
    readings = list(readings)
    checks: dict[str, Json] = {one.check.name: _details(one) for one in readings}
    status = judge(readings, circumstances).status
    return {"status": status, **facts, **sections, "checks": checks}


def names_and_statuses(
    readings: Iterable[Reading], circumstances: Circumstances
) -> dict[str, Json]:
    """The full status for everybody else."""
    readings = list(readings)
    checks: dict[str, Json] = {one.check.name: {"status": one.status} for one in readings}
    return {"status": judge(readings, circumstances).status, "checks": checks}


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
    soonest = min((check.interval for check in checks), default=RETRY)
    return max(1, min(LONGEST_RETRY, ceil(soonest)))


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
