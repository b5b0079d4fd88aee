"""Builds the body of /health/detailed, which `detailed.schema.json` describes."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from combine_health.engine.check import Json
from combine_health.engine.execute import describe
from combine_health.engine.maintenance import Maintenance
from combine_health.engine.redaction import Redactor
from combine_health.engine.registry import HealthRegistry
from combine_health.engine.state import TIMEOUT, Change, Reading, State
from combine_health.engine.verdict import Circumstances, Saturation, judge
from combine_health.version import __version__

log = logging.getLogger("combine_health")


def detailed(
    health: HealthRegistry,
    readings: Sequence[Reading],
    circumstances: Circumstances,
    sections: Mapping[str, Json],
) -> dict[str, Json]:
    """Return the full status. A section may replace version and environment."""
    verdict = judge(readings, circumstances)
    body: dict[str, Json] = {
        "status": verdict.status,
        "cause": verdict.cause,
        "detail": verdict.detail,
        "remedy": verdict.remedy,
        "version": health.settings.version or __version__,
        "environment": health.settings.environment,
        "uptime_seconds": uptime(health),
        "time": health.clock.wall().isoformat(timespec="seconds"),
        **sections,
        "maintenance": _maintenance(circumstances.maintenance),
        "server": _server(circumstances.saturation, circumstances.now),
        "groups": {name: [*sorted(names)] for name, names in sorted(health.groups().items())},
        "monitor": _monitor(health, readings),
        "history": [_change(change) for change in health.recent],
    }
    body["checks"] = {reading.check.name: _check(reading) for reading in readings}
    return body


def names_and_statuses(
    readings: Sequence[Reading], circumstances: Circumstances
) -> dict[str, Json]:
    checks: dict[str, Json] = {
        reading.check.name: {"status": reading.status} for reading in readings
    }
    return {"status": judge(readings, circumstances).status, "checks": checks}


def read_sections(
    sections: Mapping[str, Any], registry: Any, redactor: Redactor
) -> dict[str, Json]:
    """Return the current values of the sections. The value of a section that raises is its error's name."""
    values: dict[str, Json] = {}
    for name, section in sections.items():
        try:
            values.update(redactor.data({name: section(registry)}))
        except Exception as error:  # noqa: BLE001 - logged and shown
            log.error("health section %s: %s", name, redactor.text(describe(error)))
            values[name] = f"error: {type(error).__name__}"
    return values


def uptime(health: HealthRegistry) -> float:
    return round(max(0.0, health.clock.monotonic() - health.started), 1)


def hung(readings: Iterable[Reading]) -> list[str]:
    """Return the checks that are still running after their deadline."""
    return [
        reading.check.name
        for reading in readings
        if reading.running_for and reading.cause == TIMEOUT
    ]


def _maintenance(order: Maintenance | None) -> Json:
    if order is None:
        return None
    until = order.until.isoformat(timespec="seconds")
    return {"reason": order.reason, "owner": order.owner, "until": until}


def _server(saturation: Saturation | None, now: float) -> Json:
    if saturation is None:
        return None
    return {
        "threads": saturation.threads,
        "busy": saturation.busy,
        "queue": saturation.queue,
        "saturated_seconds": _since(saturation.since, now),
        "stuck_seconds": _since(saturation.stuck_since, now),
    }


def _monitor(health: HealthRegistry, readings: Sequence[Reading]) -> Json:
    """Return the state of the runner and the listeners."""
    ages = [reading.age for reading in readings if reading.age is not None]
    return {
        "background": health.settings.background,
        "last_run_seconds": _rounded(min(ages), 1) if ages else None,
        "abandoned": [*hung(readings)],
        "skipped_runs": sum(reading.skipped for reading in readings),
        "timeouts": sum(reading.state.timeouts for reading in readings if reading.state),
        "transitions": health.transitions,
        "disabled": [*sorted(health.disabled)],
        "listeners": [*health.outboxes.names()],
        "listener_errors": health.outboxes.errors,
        "events_dropped": health.outboxes.dropped,
        "maintenance_problem": health.maintenance.problem,
    }


def _check(reading: Reading) -> Json:
    state = reading.state or State(reading.since)
    since_pass = None
    if state.last_pass is not None and state.latest and reading.age is not None:
        since_pass = max(0.0, reading.age + state.latest.finished - state.last_pass)
    return {
        "status": reading.status,
        "critical": reading.check.critical,
        "kind": reading.check.kind,
        "cause": reading.cause,
        "remedy": reading.remedy,
        "runbook": reading.check.runbook,
        "detail": reading.detail,
        "data": dict(reading.data),  # type: ignore[arg-type]  # the redactor has converted it to JSON
        "age_seconds": _rounded(reading.age, 1),
        "duration_ms": _rounded(reading.duration, 3, 1000),
        "running_seconds": _rounded(reading.running_for, 1),
        "last_success_seconds": _rounded(since_pass, 1),
        "since": reading.since.isoformat(timespec="seconds"),
        "never_healthy": not state.ever_healthy,
        "passes": state.passes,
        "failures": state.failures,
        "runs": state.runs,
        "timeouts": state.timeouts,
        "skipped_runs": reading.skipped,
        "transitions": state.transitions,
        "history": [_change(change) for change in state.recent],
    }


def _change(change: Change) -> Json:
    return {
        "from": change.before,
        "to": change.after,
        "cause": change.cause,
        "detail": change.detail,
        "time": change.at.isoformat(timespec="seconds"),
    }


def _since(moment: float | None, now: float) -> float | None:
    return None if moment is None else round(max(0.0, now - moment), 1)


def _rounded(seconds: float | None, digits: int, scale: float = 1) -> float | None:
    return None if seconds is None else round(seconds * scale, digits)
