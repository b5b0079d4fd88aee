"""Tests /metrics: a scrape runs no check and contains no text of a check."""

import sys

import pytest

from combine_health import HealthResult
from combine_health.engine.registry import health_of
from combine_health.engine.verdict import Saturation

parser = pytest.importorskip("prometheus_client.parser", reason="prometheus-client is missing")

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
PUBLIC = {"REMOTE_ADDR": "203.0.113.9"}
TOKEN = "c4n4ry-t0k3n-0123456789"


def scrape(app, **headers):
    """Return all samples as {(name, labels): value}."""
    answer = app.get("/metrics", status=200, extra_environ=LOCAL, headers=headers)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def of(check, name):
    return f"combine_health_check_{name}", (("check", check),)


def status_of(samples, check):
    (found,) = [
        dict(labels)["status"]
        for (name, labels), value in samples.items()
        if name == "combine_health_check_status" and ("check", check) in labels and value == 1
    ]
    return found


@pytest.fixture
def app(make_app, database, make_switch, time):
    def setup(config):
        health_of(config.registry).clock = time.clock()
        config.add_health_check("database", database)
        config.add_health_check("worker", make_switch(False), critical=False)

    return make_app(setup, version="1.2.3")


def test_metrics_before_the_first_run(app):
    samples = scrape(app)
    assert status_of(samples, "database") == "starting"
    assert samples["combine_health_ready", ()] == 0
    assert samples["combine_health_build_info", (("version", "1.2.3"),)] == 1
    assert samples[of("database", "up")] == 0
    assert samples[of("database", "runs_total")] == 0
    assert of("database", "age_seconds") not in samples
    assert of("database", "last_success_timestamp_seconds") not in samples


def test_a_scrape_runs_no_check(make_app):
    runs = []
    app = make_app(lambda config: config.add_health_check("a", runs.append))
    for _ in range(3):
        scrape(app)
    assert runs == []


def test_metrics_after_some_runs(app, database, time):
    app.get("/health/ready")
    passed = time.clock().wall().timestamp()
    time.advance(10)
    database.answer = TimeoutError("too slow")
    app.get("/health/ready", status=503)
    time.advance(3)
    samples = scrape(app)
    assert status_of(samples, "database") == "failing"
    assert samples[of("database", "age_seconds")] == pytest.approx(3)
    assert samples[of("database", "last_success_timestamp_seconds")] == pytest.approx(passed)
    assert samples[of("database", "duration_seconds")] == 0
    assert samples[of("database", "runs_total")] == 2
    assert samples[of("database", "timeouts_total")] == 1
    assert samples[of("database", "transitions_total")] == 2
    assert samples[of("database", "critical")] == 1
    assert samples[of("worker", "critical")] == 0
    assert samples["combine_health_ready", ()] == 0
    assert samples["combine_health_status", (("status", "unavailable"),)] == 1
    assert samples["combine_health_status", (("status", "healthy"),)] == 0
    transitions = health_of(app.app.registry).transitions
    assert samples["combine_health_transitions_total", ()] == transitions >= 2


def test_metrics_of_the_server(app):
    assert ("combine_health_server_threads", ()) not in scrape(app)
    health_of(app.app.registry).read_saturation = lambda: Saturation(8, 3, 5)
    samples = scrape(app)
    assert samples["combine_health_server_threads", ()] == 8
    assert samples["combine_health_server_threads_busy", ()] == 3
    assert samples["combine_health_server_queue", ()] == 5


def test_the_labels_are_names_only(make_app):
    def setup(config):
        config.add_health_check(
            "a", lambda _: HealthResult.failing("refused", "c4n4ry", secret="c4n4ry"), remedy="R"
        )

    app = make_app(setup)
    app.get("/health/ready", status=503)
    text = app.get("/metrics", extra_environ=LOCAL).text
    assert "c4n4ry" not in text
    assert {name for _, labels in scrape(app) for name, _ in labels} == {
        "check",
        "status",
        "version",
    }


def test_the_accept_header_selects_the_format(app):
    answer = app.get("/metrics", extra_environ=LOCAL)
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    answer = app.get(
        "/metrics",
        extra_environ=LOCAL,
        headers={"Accept": "application/openmetrics-text; version=1.0.0"},
    )
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert app.head("/metrics", extra_environ=LOCAL, status=200).body == b""
    assert app.post("/metrics", extra_environ=LOCAL, status=405).headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("metrics", "environ", "status"),
    [
        ("local", LOCAL, 200),
        ("local", PUBLIC, 403),
        ("local", {**PUBLIC, "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}, 200),
        ("always", PUBLIC, 200),
        ("never", LOCAL, 404),
        ("never", {**LOCAL, "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}, 404),
    ],
)
def test_only_permitted_clients_read_metrics(make_app, metrics, environ, status):
    app = make_app(metrics=metrics, token=TOKEN)
    answer = app.get("/metrics", status=status, extra_environ=environ)
    if status == 403:
        assert "combine_health.metrics" in answer.json["error"]


def test_metrics_are_absent_without_prometheus_client(app, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "prometheus_client"]:
        monkeypatch.setitem(sys.modules, name, None)
    answer = app.get("/metrics", status=404, extra_environ=LOCAL)
    assert answer.json == {
        "error": "prometheus-client is missing. Install it: pip install '.[metrics]' in the checkout,"
        " or pip install 'WHEEL[metrics]' with the path of the wheel"
    }


def test_five_hundred_checks_are_scraped(make_app):
    def setup(config):
        for number in range(500):
            config.add_health_check(f"check-{number}", lambda _: True)

    app = make_app(setup)
    assert len([key for key in scrape(app) if key[0] == "combine_health_check_up"]) == 500
