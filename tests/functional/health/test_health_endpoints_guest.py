"""Tests the endpoints in an application that fails on each request (Purple-Devs/health_check#46)."""

from importlib.util import find_spec

import pytest
from pyramid.events import BeforeTraversal, NewRequest
from pyramid.httpexceptions import HTTPForbidden
from pyramid.security import Allowed
from pyramid.threadlocal import get_current_registry
from webtest.app import TestApp

LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
PUBLIC = {"REMOTE_ADDR": "203.0.113.9"}


class DatabaseAway(Exception):
    """An exception in the code of the application."""


def fails(*_):
    raise DatabaseAway("the database is away")


def failing_tween_factory(_handler, _registry):
    return fails


def forbidding_tween_factory(_handler, _registry):
    return lambda _request: HTTPForbidden()


HOSTS = {
    "a subscriber": lambda config: config.add_subscriber(fails, NewRequest),
    "a later subscriber": lambda config: config.add_subscriber(fails, BeforeTraversal),
    "a tween": lambda config: config.add_tween(f"{__name__}.failing_tween_factory"),
    "a request factory": lambda config: config.set_request_factory(fails),
    "an execution policy": lambda config: config.set_execution_policy(fails),
    "a root factory": lambda config: config.set_root_factory(fails),
    "a tween that answers": lambda config: config.add_tween(f"{__name__}.forbidding_tween_factory"),
}
METRICS = 200 if find_spec("prometheus_client") else 404
PATHS = [
    "/health",
    "/health/ready",
    "/health/ready/web",
    "/health/startup",
    "/health/detailed",
    "/health/detailed/schema",
    *(["/metrics"] if METRICS == 200 else []),
    "/status",
]


@pytest.fixture(params=HOSTS.values(), ids=HOSTS.keys())
def guest(request, make_app, make_switch):
    """Make an application whose own requests all fail."""

    def make(setup=lambda config: None, **settings):
        def everything(config):
            request.param(config)
            setup(config)
            config.add_health_check("database", make_switch(), groups="web")

        return make_app(everything, **settings)

    return make


def test_every_endpoint_responds(guest):
    app = guest()
    for path in PATHS:
        assert app.get(path, extra_environ=LOCAL).status_int == 200, path
    assert "checks" in app.get("/health/ready?check=database").json
    assert "monitor" in app.get("/health/detailed", extra_environ=LOCAL).json


class Policy:
    """A security policy that needs the request object of the application."""

    def identity(self, _request):
        return None

    def authenticated_userid(self, _request):
        return None

    def permits(self, request, _context, permission):
        assert permission == "health:details"
        return Allowed("yes") if request.own == "own" else fails()


def with_policy(config):
    config.set_security_policy(Policy())
    config.add_request_method(lambda _: "own", "own", property=True)


def test_every_endpoint_responds_if_the_application_cannot_decide(guest):
    app = guest(with_policy, details="authorized")
    for path in PATHS:
        assert app.get(path, extra_environ=LOCAL).status_int == 200, path


def test_names_and_statuses_are_still_shown(make_app, make_switch, caplog):
    def setup(config):
        with_policy(config)
        config.add_subscriber(fails, NewRequest)
        config.add_health_check("database", make_switch())

    app = make_app(setup, details="authorized")
    answer = app.get("/health/detailed", extra_environ=LOCAL)
    assert answer.json == {"status": "healthy", "checks": {"database": {"status": "healthy"}}}
    assert "the application cannot check the permission health:details: DatabaseAway" in caplog.text
    answer = app.get("/health/ready?check=nobody", extra_environ=LOCAL, status=404)
    assert answer.json == {"error": "there is no such check here"}


def test_the_application_decides_about_details_with_its_own_request(make_app, make_switch):
    def setup(config):
        with_policy(config)
        config.add_health_check("database", make_switch())

    app = make_app(setup, details="authorized")
    assert "monitor" in app.get("/health/detailed", extra_environ=PUBLIC).json
    assert "Version" in app.get("/status", extra_environ=PUBLIC).text
    answer = app.get("/health/ready?check=nobody", extra_environ=PUBLIC, status=404)
    assert answer.json["checks"] == ["database"]


def test_a_section_finds_the_registry_of_the_application(make_app):
    found = []

    def setup(config):
        config.add_health_section("mine", lambda _: found.append(get_current_registry()))

    app = make_app(setup)
    app.get("/health/detailed", extra_environ=LOCAL)
    assert found == [app.app.registry]


def test_other_methods_are_rejected_without_reading_the_body(guest):
    app = guest()
    assert app.request("/health", method="POST", body=b"x", status=405).headers["Allow"]
    assert app.request("/health", method="HEAD").body == b""


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/health/ready/\xff", "", 404),
        ("/health/\xff", "", 404),
        ("/health\xff", "", 404),
        ("/health/detailed/\xe9", "", 404),
        ("/metrics/\xff", "", 404),
        ("/status\xff", "", 404),
        ("/health/ready/\x00", "", 404),
        ("/health/ready", "check=%ff", 404),
        ("/health/ready", "check=\xff", 404),
        ("/health/ready", "%ff=%&&=;\xff", 200),
        ("/health/detailed", "%ff", 200),
        ("/status", "%ff=\xff", 200),
        ("/metrics", "name[]=%ff", METRICS),
    ],
)
@pytest.mark.parametrize("details", ["local", "authorized"])
def test_a_path_or_query_that_is_not_utf8_gets_a_response(make_app, details, path, query, status):
    app = make_app(with_policy, details=details)
    asking = TestApp(asking_for(app.app, PATH_INFO=path, QUERY_STRING=query))
    answer = asking.get("/", extra_environ=LOCAL, status="*")
    assert answer.status_int == status
    assert answer.headers["Content-Type"] != "text/plain"


def asking_for(app, **asked):
    # webtest encodes paths and queries itself.
    return lambda environ, start_response: app({**environ, **asked}, start_response)


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_ACCEPT": "application/openmetrics-text;version=x;;, \xff"},
        {"HTTP_ACCEPT": "application/health+json;q=\xff"},
        {"HTTP_COOKIE": "\xff=\xff"},
        {"HTTP_HOST": "\xff:\xff"},
        {"HTTP_X_FORWARDED_FOR": "\xff, ,"},
        {"HTTP_AUTHORIZATION": "Bearer \xff"},
    ],
)
def test_unusual_headers_get_a_response(make_app, headers):
    app = make_app(token="t" * 20)
    for path in PATHS:
        if path != "/health/ready/web":
            answer = app.get(path, extra_environ={**LOCAL, **headers}, status="*")
            assert answer.status_int in {200, 403}, path


def test_the_schema_is_linked_below_the_path_of_the_application(make_app):
    app = make_app()
    environ = {**LOCAL, "SCRIPT_NAME": "/a b"}
    link = app.get("/health/detailed", extra_environ=environ).headers["Link"]
    assert link == '</a%20b/health/detailed/schema>; rel="describedby"'
