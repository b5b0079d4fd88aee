"""Tests that the full status always matches its published JSON Schema."""

import json
import threading
from datetime import timedelta

import pytest

from combine_health import HealthResult
from combine_health.engine.maintenance import Maintenance, write_file
from combine_health.engine.registry import health_of
from combine_health.engine.state import KEPT_PER_CHECK
from combine_health.engine.verdict import Saturation

jsonschema_rs = pytest.importorskip("jsonschema_rs", reason="jsonschema-rs is not installed")

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
PUBLIC = {"REMOTE_ADDR": "203.0.113.9"}


@pytest.fixture
def make(make_app, time):
    def make(setup=lambda config: None, **settings):
        def with_clock(config):
            health_of(config.registry).clock = time.clock()
            setup(config)

        return make_app(with_clock, **settings)

    return make


def read(app, environ=LOCAL):
    """Return the full status, validated against its schema."""
    schema = app.get("/health/detailed/schema", status=200)
    validator = jsonschema_rs.validator_for(schema.json)
    answer = app.get("/health/detailed", status=200, extra_environ=environ)
    errors = [
        f"{error.instance_path}: {error.message}" for error in validator.iter_errors(answer.json)
    ]
    assert errors == []
    part = "full" if "version" in answer.json else "names"
    strict = {**schema.json, "anyOf": [{"$ref": f"#/$defs/{part}"}]}
    assert [e.message for e in jsonschema_rs.validator_for(strict).iter_errors(answer.json)] == []
    return answer.json


def test_the_schema_is_valid(make):
    answer = make().get("/health/detailed/schema", status=200)
    assert answer.headers["Content-Type"] == "application/schema+json"
    assert jsonschema_rs.meta.is_valid(answer.json)


def test_the_schema_rejects_invalid_data(make):
    body = read(make(lambda config: config.add_health_check("a", lambda _: True)))
    schema = make().get("/health/detailed/schema").json
    for broken in (
        {**body, "status": "fine"},
        {key: value for key, value in body.items() if key != "monitor"},
        {**body, "checks": {"a": {**body["checks"]["a"], "age_seconds": "1"}}},
        {**body, "checks": {"a": {**body["checks"]["a"], "more": 1}}},
        {"status": "healthy", "checks": {"a": {"status": "healthy", "cause": "x"}}},
    ):
        assert not jsonschema_rs.validator_for(schema).is_valid(broken)


def test_the_response_names_its_schema(make):
    answer = make().get("/health/detailed", extra_environ=LOCAL)
    assert answer.headers["Link"] == '</health/detailed/schema>; rel="describedby"'


def test_a_status_without_checks_matches(make):
    assert read(make())["checks"] == {}
    assert read(make(), PUBLIC) == {"status": "healthy", "checks": {}}


def raising(_registry):
    raise BaseException("all the way")


@pytest.mark.parametrize(
    "check",
    [
        lambda _: True,
        lambda _: False,
        lambda _: HealthResult.degraded("slow", "it takes 3 s", latency_ms=3000.0, deep={"a": [1]}),
        lambda _: HealthResult.failing("x.Y-z_0", None, **{"": None, "nan": float("nan")}),
        lambda _: object(),
        raising,
    ],
)
def test_any_result_of_a_check_matches(make, check, time):
    app = make(lambda config: config.add_health_check("a", check, runbook="/runbook", remedy="R."))
    for _ in range(3):
        body = read(app)
        read(app, PUBLIC)
        time.advance(2)
    assert body["checks"]["a"]["runs"] == 5


def test_a_status_before_the_first_result_matches(make):
    gate = threading.Event()
    app = make(
        lambda config: config.add_health_check("a", lambda _: gate.wait(10), timeout=10),
        background="true",
    )
    body = read(app)
    gate.set()
    assert (body["status"], body["checks"]["a"]["status"]) == ("starting", "starting")
    assert body["checks"]["a"]["history"] == []


def test_a_status_with_a_hung_check_matches(make_app):
    gate = threading.Event()

    def setup(config):
        config.add_health_check("hung", lambda _: gate.wait(10), timeout=0.02)
        config.add_health_check("off", lambda _: True)

    app = make_app(setup, disabled="off")
    app.get("/health/ready", status=503)
    body = read(app)
    gate.set()
    monitor = body["monitor"]
    assert (monitor["abandoned"], monitor["timeouts"]) == (["hung"], 1)
    assert monitor["disabled"] == ["off"]
    assert monitor["listeners"] == ["log"]
    assert (monitor["listener_errors"], monitor["events_dropped"]) == (0, 0)
    assert monitor["background"] is False
    hung = body["checks"]["hung"]
    assert (hung["cause"], hung["never_healthy"]) == ("timeout", True)
    assert hung["running_seconds"] >= 0


def test_a_limited_number_of_transitions_is_kept(make, make_switch, time):
    switch = make_switch()
    app = make(lambda config: config.add_health_check("a", switch))
    for number in range(KEPT_PER_CHECK + 5):
        switch.answer = HealthResult.failing("odd", f"number {number}") if number % 2 else True
        app.get("/health/ready", status="*")
        time.advance(2)
    body = read(app)
    history = body["checks"]["a"]["history"]
    assert len(history) == KEPT_PER_CHECK
    assert history[-2] == {
        "from": "healthy",
        "to": "failing",
        "cause": "odd",
        "detail": f"number {KEPT_PER_CHECK + 3}",
        "time": "2026-01-01T00:00:46+00:00",
    }
    assert body["checks"]["a"]["transitions"] == KEPT_PER_CHECK + 5
    assert [one["to"] for one in body["history"][-2:]] == ["unavailable", "healthy"]
    assert body["history"][-2]["cause"] == "a.odd"


def test_stale_draining_maintenance_and_saturated_match(make, time):
    app = make(lambda config: config.add_health_check("a", lambda _: True))
    health = health_of(app.app.registry)
    since = time.now
    health.read_saturation = lambda: Saturation(4, 4, 2, since, None)
    time.advance(100)
    assert read(app)["cause"] == "worker_saturation"
    until = time.clock().wall() + timedelta(hours=1)
    write_file(health.settings.maintenance_path, Maintenance("r", "o", until))
    time.advance(2)
    assert read(app)["status"] == "maintenance"
    health.draining = True
    assert read(app)["status"] == "draining"
    assert read(app, PUBLIC)["status"] == "draining"


def test_sections_of_every_shape_match(make):
    def setup(config):
        config.add_health_section("version", lambda _: "1.2")
        config.add_health_section("environment", lambda _: "staging")
        config.add_health_section("contacts", lambda _: {"on_call": "ada", "odd": object()})
        config.add_health_section("broken", lambda _: 1 / 0)

    body = read(make(setup))
    assert (body["version"], body["environment"]) == ("1.2", "staging")
    assert body["contacts"] == {"on_call": "ada", "odd": "<object>"}
    assert body["broken"] == "error: ZeroDivisionError"


@pytest.mark.parametrize("name", ["cause", "history", "monitor", "server", "maintenance", "groups"])
def test_a_section_may_not_take_a_name_of_the_body(make, name):
    with pytest.raises(Exception, match=f"health section '{name}'"):
        make(lambda config: config.add_health_section(name, dict))


def test_the_schema_contains_every_key(make):
    schema = make().get("/health/detailed/schema").json
    body = read(make(lambda config: config.add_health_check("a", lambda _: True)))
    assert set(body) == set(schema["$defs"]["full"]["properties"])
    assert set(body["checks"]["a"]) == set(schema["$defs"]["check"]["properties"])
    assert json.dumps(body)
