"""Tests the endpoints in a Pyramid application that includes only the health add-on."""

import json
import threading

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError
from pyramid.interfaces import IIntrospectable
from webtest import TestApp

from combine_health import HealthResult, Status, hookimpl, read_check, start_health
from combine_health.engine.registry import health_of
from combine_health.testing import FakeClock
from tests.functional.health.served import until

CANARY = "c4n4ry-s3cr3t"
LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
WORDS = ("connected", "disconnected")
PATHS = ["/health", "/health/ready", "/health/detailed"]

AT_REQUEST = {
    "combine_health.background": "false",
    "combine_health.load_entry_points": "false",
}


@pytest.fixture
def app(make_app, database):
    return make_app(lambda config: config.add_health_check("database", database, words=WORDS))


def test_an_application_without_checks_is_ready(make_app):
    app = make_app()
    assert app.get("/health").body == b'{"status": "healthy"}'
    assert app.get("/health/ready").body == b'{"status": "ready"}'
    assert app.get("/health/detailed", extra_environ=LOCAL).json["status"] == "healthy"


def test_a_working_database_makes_the_service_ready(app):
    answer = app.get("/health/ready", status=200)
    assert answer.body == b'{"status": "ready", "database": "connected"}'
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("answer", [False, RuntimeError("gone"), SystemExit(), 7])
def test_readiness_recovers_with_the_database(app, database, answer):
    database.answer = answer
    refused = app.get("/health/ready", status=503)
    assert refused.body == b'{"status": "unavailable", "database": "disconnected"}'
    assert int(refused.headers["Retry-After"]) >= 1
    assert app.get("/health", status=200).json == {"status": "healthy"}
    database.answer = True
    assert app.get("/health/ready", status=200).json["database"] == "connected"


def test_the_service_is_not_ready_before_the_first_result(make_app):
    gate = threading.Event()
    app = make_app(
        lambda config: config.add_health_check(
            "database", lambda _: gate.wait(10), words=WORDS, timeout=10
        ),
        background="true",
    )
    refused = app.get("/health/ready", status=503)
    assert refused.body == b'{"status": "starting", "database": "unknown"}'
    assert "Retry-After" in refused.headers
    assert app.get("/health").json == {"status": "healthy"}
    gate.set()


def test_an_expired_result_is_unknown_and_not_ready(database, make_app):
    time = FakeClock()

    def setup(config):
        config.add_health_check("database", database, words=WORDS)
        health_of(config.registry).clock = time.clock()

    app = make_app(setup, background="true")
    runner = health_of(app.app.registry).runner
    start_health(app.app.registry)
    assert runner.wait_until(lambda: runner.reading("database").passing, 10)
    assert app.get("/health/ready").json == {"status": "ready", "database": "connected"}
    runner.stop()  # as if the scheduler had stopped: no check renews its result
    time.advance(7)
    assert app.get("/health/ready", status=503).json == {
        "status": "unavailable",
        "database": "unknown",
    }


def test_checks_that_are_not_critical_do_not_decide_readiness(database, make_app, make_switch):
    def setup(config):
        config.add_health_check("database", database, words=WORDS)
        config.add_health_check("worker", make_switch(False), critical=False)
        config.add_health_check("news", make_switch(False), kind="info")

    app = make_app(setup)
    assert app.get("/health/ready").body == b'{"status": "ready", "database": "connected"}'
    assert app.get("/health/detailed", extra_environ=LOCAL).json["status"] == "degraded"


def test_a_degraded_service_is_ready(app, database):
    database.answer = HealthResult.degraded("slow", "it takes 3 s")
    assert app.get("/health/ready").json == {"status": "ready", "database": "connected"}
    full = app.get("/health/detailed", extra_environ=LOCAL).json
    assert full["status"] == "degraded"
    assert full["checks"]["database"]["cause"] == "slow"


def test_info_checks_do_not_decide_readiness(make_app, make_switch):
    app = make_app(lambda config: config.add_health_check("news", make_switch(False), kind="info"))
    assert app.get("/health/detailed", extra_environ=LOCAL).json["status"] == "healthy"


def test_only_live_checks_decide_liveness(make_app, make_switch):
    live = make_switch()
    app = make_app(lambda config: config.add_health_check("loop", live, kind="live"))
    assert app.get("/health").json == {"status": "healthy"}
    live.answer = False
    assert app.get("/health", status=503).json == {"status": "unhealthy"}
    assert app.get("/health/ready", status=503).json == {"status": "unavailable"}


def test_the_full_status_shows_all_checks(make_app):
    def setup(config):
        config.add_health_check(
            "queue",
            lambda _: HealthResult.failing("long", "7 wait", waiting=7),
            remedies={"long": "Start a worker."},
            runbook="https://example.com/runbook#queue",
        )
        config.add_health_section("pool", lambda registry: {"size": 5, "here": bool(registry)})
        config.add_health_section("version", lambda _: "1.2.3")

    app = make_app(setup, environment="staging")
    body = app.get("/health/detailed", status=200, extra_environ=LOCAL).json
    queue = body["checks"].pop("queue")
    assert body["status"] == "unavailable"
    assert body["version"] == "1.2.3"
    assert body["environment"] == "staging"
    assert body["pool"] == {"size": 5, "here": True}
    assert body["checks"] == {}
    assert body["uptime_seconds"] >= 0
    assert (body["cause"], body["detail"]) == ("queue.long", "7 wait")
    assert body["remedy"] == "Start a worker."
    assert (body["maintenance"], body["server"]) == (None, None)
    assert queue["status"] == "failing"
    assert queue["critical"] is True
    assert queue["kind"] == "ready"
    assert queue["cause"] == "long"
    assert queue["remedy"] == "Start a worker."
    assert queue["runbook"] == "https://example.com/runbook#queue"
    assert queue["detail"] == "7 wait"
    assert queue["data"] == {"waiting": 7}
    assert queue["age_seconds"] >= 0
    assert queue["duration_ms"] >= 0
    assert queue["never_healthy"] is True
    assert (queue["runs"], queue["failures"], queue["timeouts"]) == (1, 1, 0)
    assert queue["since"].endswith("+00:00")


def test_a_failing_section_shows_only_the_error_class(caplog, make_app):
    def setup(config):
        config.add_health_secret(CANARY)
        config.add_health_section("broken", lambda _: {}[CANARY])
        config.add_health_section("odd", lambda _: object())

    body = make_app(setup).get("/health/detailed", extra_environ=LOCAL).json
    assert body["broken"] == "error: KeyError"
    assert body["odd"] == "<object>"
    assert CANARY not in caplog.text
    assert "health section broken: KeyError" in caplog.text


@pytest.mark.parametrize("path", PATHS)
def test_head_responses_have_no_body(app, path):
    got = app.get(path, extra_environ=LOCAL)
    head = app.head(path, extra_environ=LOCAL)
    assert (head.status_code, head.body) == (200, b"")
    assert head.headers["Cache-Control"] == "no-store"
    if path != "/health/detailed":  # whose ages differ
        assert head.headers["Content-Length"] == got.headers["Content-Length"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_get_405(app, path, method):
    answer = app.request(path, method=method, status=405)
    assert answer.headers["Allow"] == "GET, HEAD"
    assert "error" in answer.json


def test_no_secret_is_shown(caplog, make_app, make_switch):
    def setup(config):
        config.add_health_secret(CANARY)
        config.add_health_secret("")
        config.add_health_secret(f"postgresql://combine:{CANARY}-2@db/combine")
        config.add_health_check(
            "raises", make_switch(RuntimeError(f"with {CANARY} and {CANARY}-2"))
        )
        config.add_health_check(
            "says",
            make_switch(HealthResult("failing", "x", f"password={CANARY}", {CANARY: [CANARY]})),
        )
        config.add_health_section("section", lambda _: {"dsn": f"http://u:{CANARY}@h/"})

    app = make_app(setup)
    for path in PATHS:
        answer = app.get(path, extra_environ=LOCAL, status="*")
        assert CANARY not in answer.text
        assert CANARY not in str(answer.headers)
    # The log is written by a separate thread, which may run after the response.
    until(lambda: "health service: starting -> unavailable" in caplog.text)
    assert "RuntimeError" in caplog.text
    assert CANARY not in caplog.text


class Policy:
    def __init__(self, answer):
        self.answer = answer

    def identity(self, request):
        raise AssertionError("the identity was asked for")

    authenticated_userid = identity

    def permits(self, _request, _context, permission):
        raise self.answer


def test_endpoints_use_no_session_policy_or_root_factory(database, make_app):
    def never(*_args):
        raise AssertionError("touched")

    def setup(config):
        config.set_session_factory(never)
        config.set_root_factory(never)
        config.set_security_policy(Policy(AssertionError("touched")))
        config.set_default_permission("everything")
        config.set_default_csrf_options(require_csrf=True)
        config.add_health_check("database", database, words=WORDS)

    app = make_app(setup)
    for path in PATHS:
        app.get(path, extra_environ=LOCAL)
        app.post(path, status=405)


def test_two_applications_in_one_process_are_independent(make_app, make_switch):
    one = make_app(
        lambda config: config.add_health_check("one", make_switch(False), words=("up", "down"))
    )
    two = make_app(
        lambda config: config.add_health_check("two", make_switch(), words=("up", "down"))
    )
    assert one.get("/health/ready", status=503).json == {"status": "unavailable", "one": "down"}
    assert two.get("/health/ready").json == {"status": "ready", "two": "up"}


def test_two_hundred_checks_work(make_app, make_switch):
    def setup(config):
        for number in range(200):
            config.add_health_check(f"check-{number}", make_switch())

    app = make_app(setup)
    assert app.get("/health/ready").json == {"status": "ready"}
    checks = app.get("/health/detailed", extra_environ=LOCAL).json["checks"]
    assert len(checks) == 200
    assert {one["status"] for one in checks.values()} == {"healthy"}


def test_a_check_may_be_any_callable(make_app):
    name = "combine_health.testing.FakeClock"  # A check is any callable with one argument.
    app = make_app(lambda config: config.add_health_check("dotted", name, critical=False))
    seen = app.get("/health/detailed", extra_environ=LOCAL).json["checks"]["dotted"]
    assert (seen["cause"], seen["detail"].split(";")[0]) == (
        "bad_result",
        "the check returned FakeClock",
    )


@pytest.mark.parametrize("dotted", ["no.such.module", "combine_health.no_such_name"])
def test_an_unknown_dotted_name_is_an_error(dotted, make_app):
    with pytest.raises(ConfigurationError, match="health check 'x'"):
        make_app(lambda config: config.add_health_check("x", dotted))


@pytest.mark.parametrize("name", ["status", "checks", "uptime_seconds", "Odd Name"])
def test_invalid_sections_are_an_error_at_startup(name, make_app):
    with pytest.raises(ConfigurationError, match="section"):
        make_app(lambda config: config.add_health_section(name, dict))


def test_a_duplicate_name_is_an_error_at_startup(make_app, make_switch):
    def setup(config):
        config.add_health_check("redis", make_switch())
        config.add_health_check("redis", make_switch())

    with pytest.raises(ConfigurationConflictError, match="redis"):
        make_app(setup)


def test_a_name_used_by_two_add_ons_is_an_error_at_startup(make_app, make_switch):
    def first(config):
        config.add_health_check("redis", make_switch())

    def second(config):
        config.add_health_check("redis", make_switch())

    def setup(config):
        config.include(first)
        config.include(second)

    with pytest.raises(ConfigurationConflictError, match="redis"):
        make_app(setup)


def test_the_application_overrides_an_add_on(make_app, make_switch):
    def add_on(config):
        config.add_health_check("redis", make_switch(False))

    def setup(config):
        config.include(add_on)
        config.add_health_check("redis", make_switch())

    assert make_app(setup).get("/health/ready").json == {"status": "ready"}


def test_including_twice_is_harmless(make_app, make_switch):
    def setup(config):
        config.include("combine_health")
        config.commit()
        config.include("combine_health")
        config.add_health_check("redis", make_switch())

    assert make_app(setup).get("/health/ready").json == {"status": "ready"}


def test_a_check_is_introspectable(make_switch):
    with Configurator(settings=AT_REQUEST) as config:
        config.include("combine_health")
        config.add_health_check("redis", make_switch(), timeout=0.5)
        config.commit()
        (found,) = config.introspector.get_category("health checks")
    assert IIntrospectable.providedBy(found["introspectable"])
    assert found["introspectable"]["name"] == "redis"
    assert found["introspectable"]["timeout"] == 0.5


def test_checks_cannot_be_added_after_the_start(make_switch):
    config = Configurator(settings=AT_REQUEST)
    config.include("combine_health")
    app = TestApp(config.make_wsgi_app())
    with pytest.raises(ConfigurationError, match="'redis': too late"):
        config.add_health_check("redis", make_switch(False))
    with pytest.raises(ConfigurationError, match="too late"):
        config.add_health_plugin(make_switch(False))
    assert app.get("/health/ready").json == {"status": "ready"}


def test_the_ini_file_overrides_and_disables_checks(make_app, make_switch):
    def setup(config):
        config.add_health_check("redis", make_switch(False))
        config.add_health_check("smtp", make_switch(False))
        config.add_health_check("queue", make_switch(True))

    app = make_app(
        setup,
        **{
            "check.redis.critical": "false",
            "check.redis.timeout": "0.25",
            "disabled": "smtp",
        },
    )
    assert app.get("/health/ready").json == {"status": "ready"}
    health = health_of(app.app.registry)
    assert (health.checks["redis"].critical, health.checks["redis"].timeout) == (False, 0.25)
    assert set(app.get("/health/detailed", extra_environ=LOCAL).json["checks"]) == {
        "redis",
        "queue",
    }


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"disabled": "rediss"}, "'rediss'"),
        ({"check.rediss.timeout": "1"}, "combine_health.check.rediss.timeout"),
        ({"check.redis.timeout": "-1"}, "timeout"),
        ({"detials": "never"}, "combine_health.detials"),
    ],
)
def test_misspelt_settings_are_an_error_at_startup(settings, named, make_app, make_switch):
    with pytest.raises(Exception, match=r"redis|detials") as caught:
        make_app(lambda config: config.add_health_check("redis", make_switch()), **settings)
    assert named in str(caught.value)


def test_the_result_of_one_check_is_read(app, database):
    database.answer = HealthResult.healthy(revision="a1")
    assert app.get("/health/ready").status_code == 200
    reading = read_check(app.app.registry, "database")
    assert (reading.status, reading.data) == (Status.HEALTHY, {"revision": "a1"})
    assert read_check(app.app.registry, "nobody") is None


def test_the_full_status_shows_a_hung_check(make_app):
    gate = threading.Event()
    app = make_app(
        lambda config: config.add_health_check("slow", lambda _: gate.wait(10), timeout=0.02)
    )
    assert app.get("/health/ready", status=503).json == {"status": "unavailable"}
    slow = app.get("/health/detailed", extra_environ=LOCAL).json["checks"]["slow"]
    gate.set()
    assert (slow["status"], slow["cause"]) == ("failing", "timeout")
    assert slow["detail"] == "running for 0 s"
    assert (slow["runs"], slow["timeouts"]) == (1, 1)


def test_every_body_is_plain_json(app):
    for path in PATHS:
        answer = app.get(path, extra_environ=LOCAL)
        json.loads(answer.text, parse_constant=lambda name: pytest.fail(name))


def test_endpoints_work_under_a_route_prefix(database):
    with Configurator(settings=AT_REQUEST) as config:
        config.include("combine_health", route_prefix="/internal")
        app = TestApp(config.make_wsgi_app())
    assert app.get("/internal/health").json == {"status": "healthy"}


def test_the_schema_is_installed(make_app):
    answer = make_app().get("/health/detailed/schema", status=200)
    assert answer.headers["Content-Type"] == "application/schema+json"
    assert "checks" in json.loads(answer.body)["$defs"]["full"]["properties"]


def test_a_late_registration_by_a_plugin_is_an_error(make_app, make_switch):
    kept = []

    class Plugin:
        @hookimpl
        def combine_health_register_checks(self, register):
            kept.append(register)
            register("early", make_switch())

    app = make_app(lambda config: config.add_health_plugin(Plugin(), "late"))
    with pytest.raises(ConfigurationError, match="'late': too late"):
        kept[0]("late", make_switch(False))
    assert app.get("/health/ready?check=early").json["checks"] == {"early": "healthy"}


def test_a_check_cannot_register_another(make_app, make_switch):
    def setup(config):
        config.add_health_check("a", lambda _: config.add_health_check("b", make_switch()))

    app = make_app(setup)
    app.get("/health/ready", status=503)
    seen = app.get("/health/detailed", extra_environ=LOCAL).json["checks"]
    assert set(seen) == {"a"}
    assert "too late" in seen["a"]["detail"]


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a/b",
        "a.b",
        "A",
        "1a",
        "-a",
        "é",
        "a\n",
        "a" * 65,
        "checks",
        "status",
        "",
        None,
        7,
        "(x)",
    ],
)
def test_invalid_check_names_are_rejected(name, make_app, make_switch):
    with pytest.raises(ConfigurationError, match="name"):
        make_app(lambda config: config.add_health_check(name, make_switch()))


@pytest.mark.parametrize("name", ["a", "a-b_c", "a" * 64, "maintenance", "observe", "constructor"])
def test_valid_check_names_are_accepted(name, make_app, make_switch):
    app = make_app(lambda config: config.add_health_check(name, make_switch()))
    assert app.get(f"/health/ready?check={name}").json["checks"] == {name: "healthy"}
    assert name in app.get("/status", extra_environ=LOCAL).text


@pytest.mark.parametrize(
    "path",
    ["/health", "/health/ready", "/health/startup", "/health/detailed", "/metrics", "/status"],
)
def test_unusual_requests_get_a_response(app, path):
    odd = [
        {"QUERY_STRING": "%"},
        {"QUERY_STRING": "check=%FF&" * 500},
        {"QUERY_STRING": "&" * 5000},
        {"HTTP_ACCEPT": "\xff\xfe;q=nan, */*;q=7"},
        {"HTTP_ACCEPT": "application/health+json;q=1;" * 200},
        {"HTTP_AUTHORIZATION": "Bearer \xff" * 300},
        {"HTTP_X_FORWARDED_FOR": "," * 3000},
        {"HTTP_FORWARDED": 'for="' * 500},
        {"HTTP_COOKIE": "session=\xff"},
        {"HTTP_HOST": "\xff:x"},
        {"REMOTE_ADDR": "fe80::1%eth0"},
    ]
    for environ in odd:
        answer = app.get(path, extra_environ={**LOCAL, **environ}, status="*")
        assert answer.status_code in {200, 403, 404}, environ
        assert answer.headers["Cache-Control"] == "no-store"
