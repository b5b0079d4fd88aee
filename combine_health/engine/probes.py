"""Decides the responses of the probes /health, /health/ready and /health/startup.

A `Probe` is the content of a response. `plain_answer` renders it with the words of the runbook, and
`combine_health.endpoints.health_json` renders it as application/health+json.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil

from combine_health.engine.check import Check, CheckKind, Json, Status
from combine_health.engine.state import Reading
from combine_health.engine.verdict import Circumstances, ServiceStatus, Verdict, judge

JSON = "application/json"
RETRY = 2  # seconds until the next try, if no check's interval suggests another value
LONGEST_RETRY = 30  # seconds


class Grade(StrEnum):
    """The result of a probe or a check: the three words of application/health+json."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """A complete HTTP response: status code, body, and the optional Retry-After in seconds."""

    status: int
    body: bytes
    retry_after: int | None = None
    content_type: str = JSON

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers except Content-Length, Date and the connection headers."""
        headers = [
            ("Content-Type", self.content_type),
            ("Cache-Control", "no-store"),
            ("Vary", "Accept"),
        ]
        if self.retry_after is not None:
            headers.append(("Retry-After", str(self.retry_after)))
        return headers


@dataclass(frozen=True, slots=True)
class Probe:
    """The content of a response: a word, its grade, and the checks to show."""

    status: str
    grade: Grade
    retry_after: int | None = None
    worded: tuple[Reading, ...] = ()
    """Checks with public words."""
    selected: tuple[Reading, ...] = ()
    """Checks that the client selected by name or by group."""

    @property
    def code(self) -> int:
        return 503 if self.grade is Grade.FAIL else 200


def live(readings: Iterable[Reading], circumstances: Circumstances) -> Probe:
    """Decide /health: 503 while a critical ``live`` check fails or no worker thread makes progress."""
    dead = [
        reading.check
        for reading in readings
        if reading.check.kind is CheckKind.LIVE
        and reading.check.critical
        and reading.status is Status.FAILING
    ]
    if dead or circumstances.stuck:
        return Probe("unhealthy", Grade.FAIL, _retry_after(dead))
    return Probe("healthy", Grade.PASS)


def ready(readings: Iterable[Reading], circumstances: Circumstances) -> Probe:
    """Decide /health/ready: 503 unless the service should get requests."""
    readings = tuple(readings)
    verdict = judge(readings, circumstances)
    worded = tuple(reading for reading in readings if reading.check.words)
    grade = grade_of(verdict.status)
    if grade is Grade.FAIL:
        return Probe(verdict.status, grade, _wait(verdict, circumstances), worded)
    return Probe("ready", grade, None, worded)


def startup(readings: Iterable[Reading]) -> Probe:
    """Decide /health/startup: 503 until each critical ``startup`` check has passed."""
    waiting = [
        reading.check
        for reading in readings
        if reading.check.kind is CheckKind.STARTUP
        and reading.check.critical
        and not reading.passing
    ]
    if waiting:
        return Probe("starting", Grade.FAIL, _retry_after(waiting))
    return Probe("started", Grade.PASS)


def make_critical(reading: Reading) -> Reading:
    """Make the check of ``reading`` critical, because the client selected it by name or by group."""
    kind = CheckKind.READY if reading.check.kind is CheckKind.INFO else reading.check.kind
    return replace(reading, check=replace(reading.check, critical=True, kind=kind))


def plain_answer(probe: Probe) -> ProbeAnswer:
    body: dict[str, Json] = {"status": probe.status}
    body.update({reading.check.name: public_word(reading) for reading in probe.worded})
    if probe.selected:
        body["checks"] = {reading.check.name: reading.status for reading in probe.selected}
    return ProbeAnswer(probe.code, encode(body), probe.retry_after)


def grade_of(status: ServiceStatus) -> Grade:
    if status.ready:
        return Grade.PASS if status is ServiceStatus.HEALTHY else Grade.WARN
    return Grade.FAIL


def public_word(reading: Reading) -> str:
    """Return the public word of a check that declares ``words``."""
    assert reading.check.words is not None
    good, bad = reading.check.words
    if reading.passing:
        return good
    return bad if reading.status is Status.FAILING else Status.UNKNOWN


def encode(body: Mapping[str, Json]) -> bytes:
    return json.dumps(body, allow_nan=False).encode()


def _wait(verdict: Verdict, circumstances: Circumstances) -> int:
    if verdict.status is ServiceStatus.MAINTENANCE:
        left = circumstances.maintenance_ends - circumstances.now
        return max(1, min(LONGEST_RETRY, ceil(left)))
    return _retry_after(verdict.checks)


def _retry_after(checks: Iterable[Check]) -> int:
    soonest = min((check.interval for check in checks), default=RETRY)
    return max(1, min(LONGEST_RETRY, ceil(soonest)))
