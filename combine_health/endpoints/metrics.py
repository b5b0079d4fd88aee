"""Exports the metrics at /metrics for Prometheus. A scrape reads the last results and runs no check.

Labels are names of checks and statuses, never free text. prometheus-client is optional (the extra
``metrics``) and is imported at the first scrape.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from combine_health.endpoints.access import may_read_metrics
from combine_health.endpoints.details import hung, uptime
from combine_health.engine.check import Status
from combine_health.engine.probes import ProbeAnswer, encode
from combine_health.engine.registry import HealthRegistry
from combine_health.engine.state import Reading, State
from combine_health.engine.verdict import judge
from combine_health.version import __version__

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PREFIX = "combine_health"


def answer(request: Any, health: HealthRegistry) -> ProbeAnswer:
    if not may_read_metrics(request, health):
        error = "only local clients, or clients with the token, may read metrics (combine_health.metrics)"
        return ProbeAnswer(403, encode({"error": error}))
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder
    except ImportError:
        error = (
            "prometheus-client is missing. Install it: pip install '.[metrics]' in the checkout,"
            " or pip install 'WHEEL[metrics]' with the path of the wheel"
        )
        return ProbeAnswer(404, encode({"error": error}))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(health, request.registry))
    try:
        text, content_type = choose_encoder(request.headers.get("Accept", ""))
    except (TypeError, ValueError):  # the header contains an invalid version
        text, content_type = choose_encoder("")
    return ProbeAnswer(200, text(registry), None, content_type)


class _Collector:
    def __init__(self, health: HealthRegistry, registry: Any) -> None:
        self._health = health
        self._registry = registry

    def describe(self) -> list["Metric"]:
        """Return nothing. Without this method, the registration would call `collect`."""
        return []

    def collect(self) -> Iterator["Metric"]:
        readings = self._health.runner.readings()
        yield from _service(self._health, readings)
        yield from _checks(self._health, readings)
        yield from _counters(self._health, self._registry)


def _service(health: HealthRegistry, readings: list[Reading]) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    circumstances = health.circumstances()
    status = judge(readings, circumstances).status
    version = health.settings.version or __version__
    yield InfoMetricFamily(f"{PREFIX}_build", "The version of the service.", {"version": version})
    statuses = GaugeMetricFamily(
        f"{PREFIX}_status", "1 for the status of the service, 0 for the others.", labels=["status"]
    )
    for candidate in type(status):
        statuses.add_metric([candidate], float(candidate is status))
    yield statuses
    gauges = [
        ("ready", "1 while the service is ready, else 0.", float(status.ready)),
        ("uptime_seconds", "Time since the application was created.", uptime(health)),
        ("abandoned_checks", "Checks running after their deadline.", len(hung(readings))),
    ]
    if server := circumstances.saturation:
        gauges += [
            ("server_threads", "Worker threads of the server.", server.threads),
            ("server_threads_busy", "Worker threads with a request.", server.busy),
            ("server_queue", "Requests that wait for a worker thread.", server.queue),
        ]
    for name, help_, value in gauges:
        yield GaugeMetricFamily(f"{PREFIX}_{name}", help_, value)
    outboxes = health.outboxes
    for name, help_, count in (
        ("transitions", "Changes of the service's status.", health.transitions),
        ("listener_errors", "Calls of listeners that raised.", outboxes.errors),
        ("events_dropped", "Events dropped because a listener was too slow.", outboxes.dropped),
    ):
        yield CounterMetricFamily(f"{PREFIX}_{name}", help_, count)


def _checks(health: HealthRegistry, readings: list[Reading]) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    status = GaugeMetricFamily(
        f"{PREFIX}_check_status",
        "1 for the status of the check, 0 for the others.",
        labels=["check", "status"],
    )
    gauges = {
        name: GaugeMetricFamily(f"{PREFIX}_check_{name}", help_, labels=["check"])
        for name, help_ in (
            ("up", "1 while the check passes (healthy or degraded), else 0."),
            ("critical", "1 if the check decides readiness, else 0."),
            ("duration_seconds", "Duration of the last run."),
            ("age_seconds", "Time since the last run ended."),
            ("last_success_timestamp_seconds", "Time of the last run that passed."),
        )
    }
    counters = {
        name: CounterMetricFamily(f"{PREFIX}_check_{name}", help_, labels=["check"])
        for name, help_ in (
            ("runs", "Runs that ended or passed their deadline."),
            ("timeouts", "Runs that passed their deadline."),
            ("skipped_runs", "Runs that were skipped because an earlier run hung."),
            ("transitions", "Changes of the check's status."),
        )
    }
    # Computed from the current wall clock, so that a change of the clock shifts all times equally.
    zero = health.clock.wall().timestamp() - health.clock.monotonic()
    for reading in readings:
        name, state = reading.check.name, reading.state or State(reading.since)
        for word in Status:
            status.add_metric([name, word], float(reading.status is word))
        gauges["up"].add_metric([name], float(reading.passing))
        gauges["critical"].add_metric([name], float(reading.check.critical))
        if reading.duration is not None:
            gauges["duration_seconds"].add_metric([name], reading.duration)
        if reading.age is not None:
            gauges["age_seconds"].add_metric([name], reading.age)
        if state.last_pass is not None:
            gauges["last_success_timestamp_seconds"].add_metric([name], zero + state.last_pass)
        counters["runs"].add_metric([name], state.runs)
        counters["timeouts"].add_metric([name], state.timeouts)
        counters["skipped_runs"].add_metric([name], reading.skipped)
        counters["transitions"].add_metric([name], state.transitions)
    yield status
    yield from gauges.values()
    yield from counters.values()


def _counters(health: HealthRegistry, registry: Any) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily

    for name, help_, labels, read in health.counters:
        family = CounterMetricFamily(name, help_, labels=labels)
        for values, count in read(registry).items():
            family.add_metric(values, count)
        yield family
