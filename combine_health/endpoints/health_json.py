"""The answers in the format application/health+json (draft-inadarei-api-health-check-06)."""

from collections.abc import Iterable, Mapping

from combine_health.endpoints.details import uptime
from combine_health.engine.check import Json, Status
from combine_health.engine.probes import RETRY, Grade, Probe, ProbeAnswer, encode, grade_of, word_of
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
    """Return the answer to a probe."""
    body: dict[str, Json] = {"status": probe.grade}
    if probe.grade is not Grade.PASS:
        body["output"] = probe.status
    checks: dict[str, Json] = {
        f"{one.check.name}:status": [{"status": _GRADES[one.status], "observedValue": word_of(one)}]
        for one in probe.spoken
    }
    for one in probe.named:
        checks.setdefault(
            f"{one.check.name}:status",
            [{"status": _GRADES[one.status], "observedValue": one.status}],
        )
    if checks:
        body["checks"] = checks
    return ProbeAnswer(probe.code, encode(body), probe.retry_after, HEALTH_JSON)


def detailed(
    health: HealthRegistry,
    readings: Iterable[Reading],
    circumstances: Circumstances,
    sections: Mapping[str, Json],
) -> ProbeAnswer:
    """Return the full status; 503 where the service fails, as the draft demands."""
    readings = list(readings)
    verdict = judge(readings, circumstances)
    grade = grade_of(verdict.status)
    time = health.clock.wall().isoformat(timespec="seconds")
    body: dict[str, Json] = {
        "status": grade,
        "releaseId": sections.get("version") or health.settings.version or __version__,
        "notes": [f"status: {verdict.status}", *_notes(verdict.cause, verdict.remedy)],
    }
    if grade is not Grade.PASS:
        body["output"] = verdict.detail or verdict.cause or str(verdict.status)
    checks: dict[str, Json] = {
        "uptime": [
            {
                "componentType": "system",
                "observedValue": uptime(health),
                "observedUnit": "s",
                "status": Grade.PASS,
                "time": time,
            }
        ]
    }
    if circumstances.saturation is not None:
        checks.update(_server(circumstances.saturation, circumstances.saturated, time))
    for name, section in sections.items():
        if name != "version":
            checks.update(_section(name, section, time))
    for one in readings:
        checks.update(_check(one, health))
    body["checks"] = checks
    return _answer(grade, body)


def names_and_statuses(readings: Iterable[Reading], circumstances: Circumstances) -> ProbeAnswer:
    """Return the full status without details."""
    readings = list(readings)
    grade = grade_of(judge(readings, circumstances).status)
    checks: dict[str, Json] = {
        f"{one.check.name}:status": [
            {"status": _GRADES[one.status], "observedValue": str(one.status)}
        ]
        for one in readings
    }
    return _answer(grade, {"status": grade, "checks": checks})


def _answer(grade: Grade, body: Mapping[str, Json]) -> ProbeAnswer:
    if grade is Grade.FAIL:
        return ProbeAnswer(503, encode(body), RETRY, HEALTH_JSON)
    return ProbeAnswer(200, encode(body), None, HEALTH_JSON)


def _notes(*texts: str | None) -> list[Json]:
    return [text for text in texts if text]


def _check(one: Reading, health: HealthRegistry) -> dict[str, Json]:
    """Return a check's response time, and its data as one measurement per value."""
    age = one.age or 0.0
    moment = health.clock.wall().timestamp() - age
    time = type(one.since).fromtimestamp(moment, one.since.tzinfo).isoformat(timespec="seconds")
    entry: dict[str, Json] = {
        "componentType": "component",
        "status": _GRADES[one.status],
        "time": time,
    }
    if one.duration is not None:
        entry["observedValue"] = round(one.duration * 1000, 3)
        entry["observedUnit"] = "ms"
    if one.status is not Status.HEALTHY:
        said = [text for text in (one.cause, one.detail) if text]
        entry["output"] = ": ".join(said) or str(one.status)
        if one.remedy:
            entry["notes"] = [one.remedy]
        if one.check.endpoints:
            entry["affectedEndpoints"] = list(one.check.endpoints)
    if one.check.runbook:
        entry["links"] = {"runbook": one.check.runbook}
    found: dict[str, Json] = {f"{one.check.name}:responseTime": [entry]}
    for name, value in one.data.items():
        if isinstance(value, bool | int | float | str):
            found[f"{one.check.name}:{name}"] = [_measured(name, value, time)]
    return found


def _section(name: str, section: Json, time: str) -> dict[str, Json]:
    if isinstance(section, dict):
        return {f"{name}:{key}": [_measured(key, value, time)] for key, value in section.items()}
    return {name: [_measured(name, section, time)]}


def _measured(name: str, value: Json, time: str) -> Json:
    measured: dict[str, Json] = {"componentType": "system", "observedValue": value, "time": time}
    if isinstance(value, int | float) and not isinstance(value, bool):
        for suffix, unit in _UNITS.items():
            if name.endswith(suffix):
                measured["observedUnit"] = unit
                break
    return measured


def _server(saturation: Saturation, saturated: bool, time: str) -> dict[str, Json]:
    grade = Grade.FAIL if saturated else Grade.PASS
    used = 100 * saturation.busy / saturation.threads if saturation.threads else 0.0
    return {
        f"server:{name}": [
            {
                "componentType": "system",
                "observedValue": value,
                "observedUnit": unit,
                "status": grade,
                "time": time,
            }
        ]
        for name, value, unit in (
            ("utilization", round(used, 1), "percent"),
            ("threads", saturation.threads, "threads"),
            ("queue", saturation.queue, "requests"),
        )
    }
