"""What Prometheus reads at /metrics. A scrape reads what is known; it runs no check.

The labels are names of checks and statuses, never texts. prometheus-client is optional
(the extra ``metrics``), and imported at the first scrape.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from combine_health.endpoints.access import may_read_metrics
from combine_health.endpoints.details import hung, uptime
from combine_health.engine.registry import HealthRegistry
from combine_health.engine.report import Answer, encode
from combine_health.engine.result import Status
from combine_health.engine.state import Reading
from combine_health.engine.verdict import Saturation, Service, judge
from combine_health.version import __version__

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PREFIX = "combine_health"


def answer(request: Any, health: HealthRegistry) -> Answer:
    """The answer to a scrape, in the format that it asks for."""
    if not may_read_metrics(request, health):
        error = "metrics are for local clients, or for who sends the token (combine_health.metrics)"
        return Answer(403, encode({"error": error}))
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder
    except ImportError:
        error = (
            "prometheus-client is missing. Install it: pip install '.[metrics]' in the checkout,"
            " or pip install 'WHEEL[metrics]' with the path of the wheel"
        )
        return Answer(404, encode({"error": error}))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(health))
    text, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Answer(200, text(registry), None, content_type)


class _Collector:
    def __init__(self, health: HealthRegistry) -> None:
        self._health = health

    def describe(self) -> list["Metric"]:
        """Nothing: asked at registration, when no metric is wanted yet."""
        return []

    def collect(self) -> Iterator["Metric"]:
        """Every metric, as it is now."""
        health = self._health
        readings = health.runner.readings()
        circumstances = health.circumstances()
        verdict = judge(readings, circumstances)
        yield from _service(verdict.status, health, readings)
        if circumstances.saturation is not None:
            yield from _server(circumstances.saturation)
        yield from _checks(readings, health)


def _service(
    status: Service, health: HealthRegistry, readings: list[Reading]
) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    version = health.settings.version or __version__
    yield InfoMetricFamily(f"{PREFIX}_build", "What is running.", {"version": version})
    yield GaugeMetricFamily(
        f"{PREFIX}_ready", "1 while requests should come here, else 0.", float(status.ready)
    )
    states = GaugeMetricFamily(
        f"{PREFIX}_status", "1 for the status of the service, 0 for the others.", labels=["status"]
    )
    for one in Service:
        states.add_metric([one], float(one is status))
    yield states
    yield GaugeMetricFamily(
        f"{PREFIX}_uptime_seconds", "Since the application was made.", uptime(health)
    )
    yield CounterMetricFamily(
        f"{PREFIX}_transitions", "Changes of the service's status.", health.transitions
    )
    yield GaugeMetricFamily(
        f"{PREFIX}_abandoned_checks",
        "Checks that run past their deadline, not waited for.",
        len(hung(readings)),
    )
    yield CounterMetricFamily(
        f"{PREFIX}_listener_errors", "Calls of listeners that raised.", health.outboxes.errors
    )
    yield CounterMetricFamily(
        f"{PREFIX}_events_dropped",
        "Events that a listener was too slow for.",
        health.outboxes.dropped,
    )


def _server(saturation: Saturation) -> Iterator["Metric"]:
    from prometheus_client.core import GaugeMetricFamily

    for name, help_, value in (
        ("threads", "Worker threads of the server.", saturation.threads),
        ("threads_busy", "Worker threads with a request.", saturation.busy),
        ("queue", "Requests that wait for a worker thread.", saturation.queue),
    ):
        yield GaugeMetricFamily(f"{PREFIX}_server_{name}", help_, value)


def _checks(readings: list[Reading], health: HealthRegistry) -> Iterator["Metric"]:
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
            ("duration_seconds", "How long the last run took."),
            ("age_seconds", "Since the last run ended."),
            ("last_success_timestamp_seconds", "When the check passed last."),
        )
    }
    counters = {
        name: CounterMetricFamily(f"{PREFIX}_check_{name}", help_, labels=["check"])
        for name, help_ in (
            ("runs", "Runs that ended or passed their deadline."),
            ("timeouts", "Runs that passed their deadline."),
            ("skipped_runs", "Runs that did not take place because the one before hung."),
            ("transitions", "Changes of the check's status."),
        )
    }
    # The wall clock now, less the age: a clock that was set since moves all of it along.
    zero = health.clock.wall().timestamp() - health.clock.monotonic()
    for one in readings:
        name, state = one.check.name, one.state
        for word in Status:
            status.add_metric([name, word], float(one.status is word))
        gauges["up"].add_metric([name], float(one.passing))
        gauges["critical"].add_metric([name], float(one.check.critical))
        if one.duration is not None:
            gauges["duration_seconds"].add_metric([name], one.duration)
        if one.age is not None:
            gauges["age_seconds"].add_metric([name], one.age)
        if state is not None and state.last_pass is not None:
            gauges["last_success_timestamp_seconds"].add_metric([name], zero + state.last_pass)
        counters["runs"].add_metric([name], state.runs if state else 0)
        counters["timeouts"].add_metric([name], state.timeouts if state else 0)
        counters["skipped_runs"].add_metric([name], one.skipped)
        counters["transitions"].add_metric([name], state.transitions if state else 0)
    yield status
    yield from gauges.values()
    yield from counters.values()
