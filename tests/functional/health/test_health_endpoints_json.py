"""Tests content negotiation and application/health+json (draft-inadarei-api-health-check-06)."""

import pytest

from combine_health import HealthResult
from combine_health.engine.registry import health_of
from combine_health.engine.verdict import Saturation

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
PUBLIC = {"REMOTE_ADDR": "203.0.113.9"}
HEALTH = "application/health+json"
WORDS = ("connected", "disconnected")
PATHS = ["/health", "/health/ready", "/health/startup", "/health/detailed"]


@pytest.fixture
def database(make_switch):
    return make_switch(HealthResult.healthy(latency_ms=1.5, revision="a1"))


@pytest.fixture
def app(make_app, make_switch, database):
    def setup(config):
        config.add_health_check(
            "database",
            database,
            words=WORDS,
            remedy="Start it.",
            runbook="https://example.com/runbook",
            endpoints=("/api/v1/{resource}",),
        )
        config.add_health_check("worker", make_switch(), critical=False)
        config.add_health_section("pool", lambda _: {"checked_out": 3})
        config.add_health_section("version", lambda _: "1.2.3")

    return make_app(setup)


def get(app, path, accept=HEALTH, **more):
    return app.get(path, headers={"Accept": accept}, **{"extra_environ": LOCAL, **more})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (HEALTH, True),
        ("Application/Health+JSON", True),
        (f"{HEALTH}, application/json", True),
        (f"application/json, {HEALTH}", True),
        (f"{HEALTH};q=0.9, */*;q=0.1", True),
        (f"{HEALTH};q=0.2, application/json", False),
        (f"{HEALTH};q=0", False),
        ("application/json", False),
        ("application/*", False),
        ("*/*", False),
        ("text/html", False),
        ("nonsense;;;", False),
        ("", False),
    ],
)
def test_the_accept_header_selects_the_format(app, path, accept, wanted):
    answer = get(app, path, accept, status=200)
    assert answer.headers["Content-Type"] == (HEALTH if wanted else "application/json")
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["Cache-Control"] == "no-store"
    assert (answer.json["status"] == "pass") is wanted


def test_plain_json_is_the_default(app):
    for path in PATHS:
        answer = app.get(path, extra_environ=LOCAL)
        assert answer.headers["Content-Type"] == "application/json"


def test_probes_return_health_json(app, database):
    assert get(app, "/health").json == {"status": "pass"}
    assert get(app, "/health/startup").json == {"status": "pass"}
    assert get(app, "/health/ready").json == {
        "status": "pass",
        "checks": {"database:status": [{"status": "pass", "observedValue": "connected"}]},
    }
    database.answer = False
    answer = get(app, "/health/ready", status=503)
    assert answer.json == {
        "status": "fail",
        "output": "unavailable",
        "checks": {"database:status": [{"status": "fail", "observedValue": "disconnected"}]},
    }
    assert int(answer.headers["Retry-After"]) >= 1
    assert get(app, "/health/ready?check=worker").json["checks"] == {
        "worker:status": [{"status": "pass", "observedValue": "healthy"}]
    }


def test_degraded_is_warn_with_2xx(app, database):
    database.answer = HealthResult.degraded("slow")
    assert get(app, "/health/ready", status=200).json["status"] == "warn"
    answer = get(app, "/health/detailed", status=200)
    assert answer.json["status"] == "warn"
    assert answer.json["output"] == "database.slow"


def test_the_full_status_follows_the_draft(app, database):
    health_of(app.app.registry).read_saturation = lambda: Saturation(4, 1, 0)
    body = get(app, "/health/detailed").json
    assert (body["status"], body["releaseId"]) == ("pass", "1.2.3")
    checks = body["checks"]
    (taken,) = checks["database:responseTime"]
    assert (taken["status"], taken["observedUnit"]) == ("pass", "ms")
    assert taken["observedValue"] >= 0
    assert taken["links"] == {"runbook": "https://example.com/runbook"}
    assert taken["time"].endswith("+00:00")
    assert "affectedEndpoints" not in taken
    assert "output" not in taken
    (latency,) = checks["database:latency_ms"]
    assert (latency["observedValue"], latency["observedUnit"]) == (1.5, "ms")
    assert checks["database:revision"][0]["observedValue"] == "a1"
    assert checks["pool:checked_out"][0]["observedValue"] == 3
    assert checks["uptime"][0]["observedUnit"] == "s"
    assert checks["server:utilization"][0]["observedValue"] == 25.0
    assert checks["worker:responseTime"][0]["status"] == "pass"
    for entries in checks.values():
        assert isinstance(entries, list)

    database.answer = HealthResult.failing("refused", "no answer")
    answer = get(app, "/health/detailed", status=503)  # the draft requires it
    (taken,) = answer.json["checks"]["database:responseTime"]
    assert taken["status"] == "fail"
    assert taken["output"] == "refused: no answer"
    assert taken["notes"] == ["Start it."]
    assert taken["affectedEndpoints"] == ["/api/v1/{resource}"]
    assert "Start it." in answer.json["notes"]


def test_details_are_hidden_from_other_clients(app, database):
    database.answer = HealthResult.failing("refused", "no answer")
    answer = get(app, "/health/detailed", extra_environ=PUBLIC, status=503)
    assert answer.json == {
        "status": "fail",
        "checks": {
            "database:status": [{"status": "fail", "observedValue": "failing"}],
            "worker:status": [{"status": "pass", "observedValue": "healthy"}],
        },
    }


def test_draining_is_fail(app):
    health_of(app.app.registry).draining = True
    answer = get(app, "/health/ready", status=503).json
    assert (answer["status"], answer["output"]) == ("fail", "draining")
    assert "status: draining" in get(app, "/health/detailed", status=503).json["notes"]
