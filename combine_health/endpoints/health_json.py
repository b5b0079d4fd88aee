"""Renders responses as application/health+json (draft-inadarei-api-health-check-06)."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from combine_health.endpoints.details import uptime
from combine_health.engine.check import Json, Status
from combine_health.engine.probes import (
    RETRY,
    Grade,
    Probe,
    ProbeAnswer,
    encode,
    grade_of,
    public_word,
)
from combine_health.engine.registry import HealthRegistry
from combine_health.engine.state import Reading
from combine_health.engine.verdict import Circumstances, Saturation, judge
from combine_health.version import __version__

HEALTH_JSON = "application/health+json"

_GRADES = {
    Status.HEALTHY: Grade.PASS,
    Status.DEGRADED: Grade.WARN,
    Status.STARTING: Grade.WARN,
    Status.FAILING: Grade.FAIL,
    Status.UNKNOWN: Grade.FAIL,
}
_UNITS = {"_ms": "ms", "_seconds": "s", "_s": "s", "_bytes": "bytes", "_percent": "percent"}


def probe_answer(probe: Probe) -> ProbeAnswer:
    body: dict[str, Json] = {"status": probe.grade}
    if probe.grade is not Grade.PASS:
        body["output"] = probe.status
    checks: dict[str, Json] = {}
    for reading in probe.selected:
        checks.update(_status(reading, reading.status))
    for reading in probe.worded:
        checks.update(_status(reading, public_word(reading)))
    if checks:
        body["checks"] = checks
    return ProbeAnswer(probe.code, encode(body), probe.retry_after, HEALTH_JSON)


def detailed(
    health: HealthRegistry,
    readings: Sequence[Reading],
    circumstances: Circumstances,
    sections: Mapping[str, Json],
) -> ProbeAnswer:
    """Return the full status, with 503 if the service fails, as the draft requires."""
    verdict = judge(readings, circumstances)
    grade = grade_of(verdict.status)
    time = health.clock.wall().isoformat(timespec="seconds")
    notes = [f"status: {verdict.status}", verdict.cause, verdict.remedy]
    body: dict[str, Json] = {
        "status": grade,
        "releaseId": sections.get("version") or health.settings.version or __version__,
        "notes": [note for note in notes if note],
    }
    if grade is not Grade.PASS:
        body["output"] = verdict.detail or verdict.cause or str(verdict.status)
    checks: dict[str, Json] = {"uptime": _measured(uptime(health), time, "s", Grade.PASS)}
    if circumstances.saturation is not None:
        checks.update(_server(circumstances.saturation, circumstances.saturated, time))
    for name, section in sections.items():
        if name != "version":
            checks.update(_section(name, section, time))
    for reading in readings:
        checks.update(_check(reading, health))
    body["checks"] = checks
    return _full_status(grade, body)


def names_and_statuses(readings: Sequence[Reading], circumstances: Circumstances) -> ProbeAnswer:
    grade = grade_of(judge(readings, circumstances).status)
    checks: dict[str, Json] = {}
    for reading in readings:
        checks.update(_status(reading, reading.status))
    return _full_status(grade, {"status": grade, "checks": checks})


def _full_status(grade: Grade, body: Mapping[str, Json]) -> ProbeAnswer:
    if grade is Grade.FAIL:
        return ProbeAnswer(503, encode(body), RETRY, HEALTH_JSON)
    return ProbeAnswer(200, encode(body), None, HEALTH_JSON)


def _status(reading: Reading, word: str) -> dict[str, Json]:
    entry: Json = {"status": _GRADES[reading.status], "observedValue": word}
    return {f"{reading.check.name}:status": [entry]}


def _check(reading: Reading, health: HealthRegistry) -> dict[str, Json]:
    """Return a check's response time, and its data as one measurement per value."""
    check = reading.check
    at = health.clock.wall() - timedelta(seconds=reading.age or 0.0)
    time = at.isoformat(timespec="seconds")
    entry: dict[str, Json] = {
        "componentType": "component",
        "status": _GRADES[reading.status],
        "time": time,
    }
    if reading.duration is not None:
        entry["observedValue"] = round(reading.duration * 1000, 3)
        entry["observedUnit"] = "ms"
    if reading.status is not Status.HEALTHY:
        output = [text for text in (reading.cause, reading.detail) if text]
        entry["output"] = ": ".join(output) or str(reading.status)
        if reading.remedy:
            entry["notes"] = [reading.remedy]
        if check.endpoints:
            entry["affectedEndpoints"] = list(check.endpoints)
    if check.runbook:
        entry["links"] = {"runbook": check.runbook}
    found: dict[str, Json] = {f"{check.name}:responseTime": [entry]}
    for name, value in reading.data.items():
        if isinstance(value, bool | int | float | str):
            found[f"{check.name}:{name}"] = _measured(value, time, _unit(name, value))
    return found


def _section(name: str, section: Json, time: str) -> dict[str, Json]:
    if isinstance(section, dict):
        return {
            f"{name}:{key}": _measured(value, time, _unit(key, value))
            for key, value in section.items()
        }
    return {name: _measured(section, time, _unit(name, section))}


def _server(saturation: Saturation, saturated: bool, time: str) -> dict[str, Json]:
    grade = Grade.FAIL if saturated else Grade.PASS
    used = 100 * saturation.busy / saturation.threads if saturation.threads else 0.0
    return {
        "server:utilization": _measured(round(used, 1), time, "percent", grade),
        "server:threads": _measured(saturation.threads, time, "threads", grade),
        "server:queue": _measured(saturation.queue, time, "requests", grade),
    }


def _measured(value: Json, time: str, unit: str | None, grade: Grade | None = None) -> Json:
    entry: dict[str, Json] = {"componentType": "system", "observedValue": value, "time": time}
    if unit is not None:
        entry["observedUnit"] = unit
    if grade is not None:
        entry["status"] = grade
    return [entry]


def _unit(name: str, value: Json) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), None)
