"""Tests probes of single checks, of groups and of the startup."""

import pytest
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPNotFound

from combine_health import HealthEnvironmentError
from combine_health.engine.check import CheckKind

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
PUBLIC = {"REMOTE_ADDR": "203.0.113.9"}
WORDS = ("connected", "disconnected")


@pytest.fixture
def worker(make_switch):
    return make_switch()


@pytest.fixture
def app(make_app, make_switch, database, worker):
    def setup(config):
        config.add_health_check("database", database, words=WORDS, groups="web")
        config.add_health_check("worker", worker, critical=False, groups=("web", "jobs"))
        config.add_health_check("loop", make_switch(), kind="live")
        config.add_health_check("news", make_switch(False), kind="info")
        config.add_health_check("cache", make_switch(False))

    return make_app(setup)


def test_one_check_is_probed(app, database):
    answer = app.get("/health/ready?check=database", status=200)
    assert answer.body == (
        b'{"status": "ready", "database": "connected", "checks": {"database": "healthy"}}'
    )
    database.answer = False
    answer = app.get("/health/ready?check=database", status=503)
    assert answer.json == {
        "status": "unavailable",
        "database": "disconnected",
        "checks": {"database": "failing"},
    }
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("query", ["check=database&check=worker", "check=database,%20worker"])
def test_several_checks_are_probed(app, database, worker, query):
    answer = app.get(f"/health/ready?{query}", status=200)
    assert answer.json["checks"] == {"database": "healthy", "worker": "healthy"}
    worker.answer = False
    assert app.get(f"/health/ready?{query}", status=503).json["database"] == "connected"


@pytest.mark.parametrize("name", ["worker", "news"])
def test_a_named_check_counts_even_if_it_is_not_critical(app, worker, name):
    worker.answer = False  # this check is not critical, and info checks do not decide readiness
    assert app.get(f"/health/ready?check={name}", status=503).json["checks"] == {name: "failing"}


def test_only_the_named_checks_run(make_app):
    seen = []

    def setup(config):
        for name in ("one", "two"):
            config.add_health_check(name, lambda _, name=name: seen.append(name))

    make_app(setup).get("/health/ready?check=two")
    assert seen == ["two"]


def test_liveness_accepts_only_live_checks(app):
    assert app.get("/health?check=loop").json == {
        "status": "healthy",
        "checks": {"loop": "healthy"},
    }
    app.get("/health?check=database", status=404)
    app.get("/health/startup?check=loop", status=404)


def test_the_full_status_is_limited_to_named_checks(app):
    body = app.get("/health/detailed?check=worker", extra_environ=LOCAL).json
    assert set(body["checks"]) == {"worker"}
    assert body["status"] == "healthy"
    assert app.get("/health/detailed?check=worker", extra_environ=PUBLIC).json == {
        "status": "healthy",
        "checks": {"worker": {"status": "healthy"}},
    }


@pytest.mark.parametrize(
    "query",
    [
        "check=nobody",
        "check=",
        "check=database&check=nobody",
        "check=a%FF%00",
        "check=%F0%9F%92%A9",
    ],
)
@pytest.mark.parametrize("path", ["/health/ready", "/health/detailed"])
def test_an_unknown_check_gets_404(app, path, query):
    answer = app.get(f"{path}?{query}", status=404, extra_environ=LOCAL)
    assert answer.json["checks"] == ["database", "worker", "loop", "news", "cache"]
    assert answer.json["error"].startswith("there is no check ")
    assert answer.headers["Cache-Control"] == "no-store"
    answer = app.get(f"{path}?{query}", status=404, extra_environ=PUBLIC)
    assert answer.json == {"error": "there is no such check here"}


def test_unknown_parameters_are_ignored(app):
    app.get("/health?x=1&checks=a", status=200)
    assert app.get("/health?check%5B%5D=a;b", status=200).json == {"status": "healthy"}


def test_a_group_is_probed(app, database, worker):
    assert app.get("/health/ready", status=503).json["status"] == "unavailable"  # the cache
    answer = app.get("/health/ready/web", status=200)
    assert answer.json == {
        "status": "ready",
        "database": "connected",
        "checks": {"database": "healthy", "worker": "healthy"},
    }
    database.answer = False
    assert app.get("/health/ready/web", status=503).json["database"] == "disconnected"
    assert app.get("/health/ready/jobs", status=200).json["status"] == "ready"
    worker.answer = False  # this check is not critical, but the client selected it
    assert app.get("/health/ready/jobs", status=503).json["checks"] == {"worker": "failing"}


@pytest.mark.parametrize("kind", CheckKind)
def test_every_kind_of_check_counts_in_its_group(make_app, make_switch, kind):
    def setup(config):
        config.add_health_check("a", make_switch(False), kind=kind, critical=False, groups="g")

    app = make_app(setup)
    by_group = app.get("/health/ready/g", status=503)
    assert by_group.json == app.get("/health/ready?check=a", status=503).json
    assert by_group.json["checks"] == {"a": "failing"}


def test_one_check_of_a_group_is_probed(app, worker):
    worker.answer = False
    app.get("/health/ready/web?check=database", status=200)
    app.get("/health/ready/web?check=worker", status=503)


@pytest.mark.parametrize("name", ["nobody", "WEB", "%F0%9F%92%A9", "a" * 500])
def test_an_unknown_group_gets_404(app, name):
    answer = app.get(f"/health/ready/{name}", status=404, extra_environ=LOCAL)
    assert answer.json["groups"] == ["jobs", "web"]
    assert len(answer.json["error"]) < 120
    answer = app.get(f"/health/ready/{name}", status=404, extra_environ=PUBLIC)
    assert answer.json == {"error": "there is no such group here"}


def test_groups_are_set_in_the_ini_file(make_app, make_switch):
    def setup(config):
        config.add_health_check("database", make_switch())
        config.add_health_check("cache", make_switch(False), groups="web")
        config.add_health_check("smtp", make_switch(False))

    app = make_app(setup, **{"group.web": "database", "group.mail": "smtp, database"})
    assert app.get("/health/ready/web").json["checks"] == {"database": "healthy"}
    assert set(app.get("/health/ready/mail", status=503).json["checks"]) == {"database", "smtp"}
    detailed = app.get("/health/detailed", extra_environ=LOCAL).json
    assert detailed["groups"] == {"mail": ["database", "smtp"], "web": ["database"]}


def test_a_disabled_check_leaves_its_groups(make_app, make_switch):
    def setup(config):
        config.add_health_check("cache", make_switch(False), groups="web")

    app = make_app(setup, disabled="cache", **{"group.all": "cache"})
    assert app.get("/health/ready/web").json == {"status": "ready"}
    assert app.get("/health/ready/all").json == {"status": "ready"}


def test_a_group_with_an_unknown_check_is_an_error_at_startup(make_app):
    with pytest.raises(HealthEnvironmentError, match=r"combine_health\.group\.web names 'redis'"):
        make_app(**{"group.web": "redis"})


@pytest.mark.parametrize("groups", [("Odd Name",), ("",), (7,)])
def test_invalid_groups_are_an_error_at_startup(make_app, make_switch, groups):
    with pytest.raises(ConfigurationError, match="groups"):
        make_app(lambda config: config.add_health_check("a", make_switch(), groups=groups))


def test_the_startup_probe_succeeds_after_startup(make_app, make_switch):
    warm, late = make_switch(False), make_switch(False)

    def setup(config):
        config.add_health_check("warm", warm, kind="startup")
        config.add_health_check("late", late, kind="startup", critical=False)

    app = make_app(setup)
    answer = app.get("/health/startup", status=503)
    assert answer.body == b'{"status": "starting"}'
    assert int(answer.headers["Retry-After"]) >= 1
    assert app.get("/health", status=200).json == {"status": "healthy"}
    app.get("/health/ready", status=503)
    warm.answer = True
    assert app.get("/health/startup", status=200).body == b'{"status": "started"}'
    warm.answer = False  # it has passed once, so it does not run again
    app.get("/health/startup", status=200)
    app.get("/health/ready", status=200)
    app.get("/health/startup?check=late", status=503)


def test_a_service_without_startup_checks_has_started(make_app):
    assert make_app().get("/health/startup").json == {"status": "started"}


@pytest.mark.parametrize("setting", [{"metrics": "never"}, {"status_page": "false"}])
def test_a_disabled_endpoint_frees_its_path(make_app, setting):
    app = make_app(
        lambda config: config.add_notfound_view(lambda _: HTTPNotFound("the application's")),
        **setting,
    )
    path = "/metrics" if "metrics" in setting else "/status"
    assert "the application's" in app.get(path, status=404, extra_environ=LOCAL).text
