"""Tests conflicts between routes of the application and the endpoints."""

import logging

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from webtest import TestApp

from combine_health import HealthEnvironmentError
from combine_health.engine.registry import health_of


class Resource:
    """A resource of an application with traversal."""


LOCAL = {"REMOTE_ADDR": "127.0.0.1"}


def make(before=(), after=(), **settings):
    """Make an application with these routes, added before and after the add-on."""
    given = {
        "combine_health.background": "false",
        "combine_health.load_entry_points": "false",
        **{f"combine_health.{name}": value for name, value in settings.items()},
    }

    def add(config, routes):
        for name, pattern in routes:
            config.add_route(name, pattern)
            config.add_view(
                lambda request: {"route": request.matched_route.name},
                route_name=name,
                renderer="json",
            )

    with Configurator(settings=given) as config:
        add(config, before)
        config.include("combine_health")
        add(config, after)
        return TestApp(config.make_wsgi_app(), extra_environ=LOCAL)


@pytest.mark.parametrize(
    ("pattern", "setting"),
    [
        ("/health", "combine_health.route_prefix = internal"),
        ("health/ready", "combine_health.route_prefix = internal"),
        ("/health/ready/{name}", "combine_health.route_prefix = internal"),
        (r"/health/ready/{name:\w+}", "combine_health.route_prefix = internal"),
        ("/health/ready/database", "combine_health.route_prefix = internal"),
        ("/status", "combine_health.status_page = false"),
        ("/metrics", "combine_health.metrics = never"),
    ],
)
def test_a_route_with_the_path_of_an_endpoint_is_an_error(pattern, setting):
    with pytest.raises(ConfigurationError) as caught:
        make(after=[("operations", pattern)])
    said = str(caught.value)
    assert "'operations'" in said
    assert "'combine_health" in said
    assert setting in said


@pytest.mark.parametrize("pattern", ["/health", "/health/ready/database"])
def test_an_earlier_route_with_that_path_is_an_error(pattern):
    with pytest.raises(ConfigurationError, match="'operations'"):
        make(before=[("operations", pattern)])


def test_all_conflicts_are_named_together():
    with pytest.raises(ConfigurationError) as caught:
        make(after=[("one", "/health"), ("two", "/status")])
    assert "'one'" in str(caught.value)
    assert "'two'" in str(caught.value)


@pytest.mark.parametrize("path", ["/status", "/metrics"])
def test_status_and_metrics_yield_to_an_earlier_route(path, caplog):
    caplog.set_level(logging.INFO, "combine_health")
    app = make(before=[("operations", path)])
    assert app.get(path).json == {"route": "operations"}
    assert "'operations'" in caplog.text
    assert app.get("/health").json == {"status": "healthy"}


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("/status", {"status_page": "false"}),
        ("/metrics", {"metrics": "never"}),
        ("/health", {"route_prefix": "internal"}),
        ("/health/ready", {"route_prefix": "/internal/"}),
    ],
)
def test_the_named_setting_resolves_the_conflict(path, setting):
    app = make(after=[("operations", path)], **setting)
    assert app.get(path).json == {"route": "operations"}


def test_a_route_of_the_same_name_hides_no_endpoint():
    app = make(after=[("health", "/healthz"), ("health_ready", "/readyz")])
    assert app.get("/healthz").json == {"route": "health"}
    assert app.get("/readyz").json == {"route": "health_ready"}
    assert app.get("/health").json == {"status": "healthy"}
    assert app.get("/health/ready").json == {"status": "ready"}


def test_other_routes_do_not_conflict():
    routes = [("a", "/healthy"), ("b", "/health/{what}/more"), ("c", "/status/{id}"), ("d", "/")]
    assert make(after=routes).get("/status/1").json == {"route": "c"}
    assert make(before=routes).get("/health").json == {"status": "healthy"}


def test_endpoints_work_below_a_prefix():
    app = make(route_prefix="internal/ops")
    assert app.get("/internal/ops/health/ready").json == {"status": "ready"}
    link = app.get("/internal/ops/health/detailed").headers["Link"]
    assert link.startswith("</internal/ops/health/detailed/schema>")
    app.get("/health", status=404)
    assert health_of(app.app.registry).prefix == "/internal/ops"


def test_the_prefix_of_the_include_is_added():
    with Configurator(
        settings={
            "combine_health.route_prefix": "ops",
            "combine_health.load_entry_points": "false",
            "combine_health.background": "false",
        }
    ) as config:
        config.include("combine_health", route_prefix="/internal")
        app = TestApp(config.make_wsgi_app())
    assert app.get("/internal/ops/health").json == {"status": "healthy"}
    assert health_of(app.app.registry).prefix == "/internal/ops"


@pytest.mark.parametrize("prefix", ["a b", "{name}", "a//b", "*all", "ü"])
def test_an_invalid_prefix_is_an_error_at_startup(prefix):
    with pytest.raises(HealthEnvironmentError, match="write a path"):
        make(route_prefix=prefix)


@pytest.mark.parametrize("name", ["health", "status", "metrics"])
def test_a_hidden_view_of_the_root_is_reported(name, caplog):
    with Configurator(
        settings={"combine_health.background": "false", "combine_health.load_entry_points": "false"}
    ) as config:
        config.include("combine_health")
        config.add_view(lambda request: None, name=name, renderer="json")
        config.add_view(lambda request: None, name=f"my-{name}", renderer="json")
        config.add_view(lambda request: None, name=name, context=Resource, renderer="json")
        config.make_wsgi_app()
    (line,) = [line for line in caplog.messages if "gets no requests" in line]
    assert f"the view '{name}' of the application" in line
    assert "set combine_health." in line
