"""Tests the request id, the access log, and the response of the last resort."""

import json
import logging
import re

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.interfaces import ITweens
from pyramid.response import Response
from pyramid_retry import RetryableException, is_last_attempt
from webtest import TestApp

from combine_core.observe.context import USER_KEY
from combine_core.observe.logs import RequestFilter

log = logging.getLogger("combine_core.test_tween")


def as_served(application):
    """Return the application without the re-raised exceptions of WebTest."""

    def served(environ, start_response):
        del environ["paste.throw_errors"]
        return application(environ, start_response)

    return TestApp(served)


def ordinary(request):
    log.info("in the view of %s", request.request_id)
    return Response("ok")


def signed_in(request):
    request.environ[USER_KEY] = "jane@example.com"
    return Response("ok")


def broken(request):
    raise RuntimeError("no view was prepared for this")


def absent(request):
    raise HTTPNotFound


def at_last(request):
    if not is_last_attempt(request):
        raise RetryableException
    return Response("ok")


def never(request):
    raise RetryableException


def sub(request):
    from pyramid.request import Request

    inner = request.invoke_subrequest(Request.blank("/ordinary"), use_tweens=True)
    log.info("after the inner one")
    return Response(inner.headers["X-Request-ID"])


def outer_factory(handler, registry):
    def outer(request):
        if "refuse" in request.GET:
            log.info("refused before the view")
            return Response("no", status=400)
        return handler(request)

    return outer


VIEWS = (ordinary, signed_in, broken, absent, at_last, never, sub)


@pytest.fixture
def config():
    config = Configurator(
        settings={"tm.manager_hook": "pyramid_tm.explicit_manager", "tm.annotate_user": "false"}
    )
    config.include("combine_core.observe")
    config.include("pyramid_retry")
    config.include("pyramid_tm")
    config.add_tween(f"{__name__}.outer_factory")
    for view in VIEWS:
        config.add_route(view.__name__, f"/{view.__name__}")
        config.add_view(view, route_name=view.__name__)
    for path in ("health", "health/ready", "metrics"):
        config.add_route(path, f"/{path}")
        config.add_view(ordinary, route_name=path)
    return config


@pytest.fixture
def app(config, caplog):
    caplog.set_level(logging.DEBUG, logger="combine_core")
    caplog.handler.addFilter(RequestFilter())
    yield as_served(config.make_wsgi_app())
    caplog.handler.filters.clear()


def access(caplog):
    return [r for r in caplog.records if r.name == "combine_core.access"]


def test_the_tween_is_outermost(config):
    config.make_wsgi_app()
    names = [name for name, _ in config.registry.getUtility(ITweens).implicit()]
    assert names[0] == "combine_core.observe.tween.request_tween_factory"
    assert len(names) == 4


def test_a_valid_id_is_kept(app, caplog):
    response = app.get("/ordinary", headers={"X-Request-ID": "Ab.9_-xyz"})
    assert response.headers["X-Request-ID"] == "Ab.9_-xyz"
    assert {r.request_id for r in caplog.records} == {"Ab.9_-xyz"}
    assert "in the view of Ab.9_-xyz" in caplog.messages


@pytest.mark.parametrize(
    "offered",
    [
        "",
        "short",
        "x" * 65,
        "with space",
        "new\tline1",
        "a,b,c,d,e",
        "<script>",
        "abcdefg\u00e9",
        "a/b/c/d/e",
    ],
)
def test_an_invalid_id_is_replaced(app, offered):
    returned = app.get("/ordinary", headers={"X-Request-ID": offered}).headers["X-Request-ID"]
    assert returned != offered
    assert re.fullmatch(r"[0-9a-f]{16}", returned)


def test_a_line_break_after_an_id_is_invalid(app):
    environ = {"HTTP_X_REQUEST_ID": "abcdefgh\n"}
    assert app.get("/ordinary", extra_environ=environ).headers["X-Request-ID"] != "abcdefgh\n"


def test_each_request_has_its_own_id(app):
    ids = {app.get("/ordinary").headers["X-Request-ID"] for _ in range(50)}
    assert len(ids) == 50


def test_one_access_line_without_the_query(app, caplog):
    app.get("/ordinary?token=canary", headers={"X-Request-ID": "abcd-1234"})
    (line,) = access(caplog)
    assert re.fullmatch(r"GET /ordinary 200 \d+\.\d ms", line.getMessage())
    assert (line.levelno, line.status, line.route) == (logging.INFO, 200, "ordinary")
    assert line.duration >= 0
    assert line.user is None
    assert "canary" not in caplog.text


def test_the_access_line_names_a_known_user(app, caplog):
    app.get("/signed_in")
    (line,) = access(caplog)
    assert line.user == "jane@example.com"
    assert line.getMessage().endswith(" ms jane@example.com")


def test_the_access_line_never_looks_up_the_user(config, caplog):
    class Policy:
        def identity(self, request):
            raise AssertionError("asked for the identity")

        authenticated_userid = identity

        def permits(self, request, context, permission):
            return True

    config.set_security_policy(Policy())
    TestApp(config.make_wsgi_app()).get("/health")


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/metrics"])
def test_successful_probes_are_not_logged(app, caplog, path):
    app.get(path)
    app.get(f"{path}?refuse=1", status=400)
    quiet, loud = access(caplog)
    assert (quiet.levelno, loud.levelno) == (logging.DEBUG, logging.INFO)


def test_unusual_paths_give_ordinary_lines(app, caplog):
    for path in ("/%0aforged", "/%ff%fe", "/" + "x" * 5000, "/%1b[2J", "/a%20b"):
        app.get(path, status=[400, 404])
    lines = [r.getMessage() for r in access(caplog)]
    assert len(lines) == 5
    assert lines[0].startswith("GET /%0Aforged 404 ")
    assert lines[1].startswith("GET /%FF%FE 400 ")
    assert len(lines[2]) < 600
    assert lines[4].startswith("GET /a%20b 404 ")
    assert all(line.isprintable() for line in lines)


def test_a_rejection_by_another_tween_has_the_id(app, caplog):
    response = app.get("/ordinary?refuse=1", status=400)
    assert response.headers["X-Request-ID"]
    assert "refused before the view" in caplog.messages
    assert {r.request_id for r in caplog.records} == {response.headers["X-Request-ID"]}


def test_error_views_still_respond(app, caplog):
    assert app.get("/absent", status=404).headers["X-Request-ID"]
    assert access(caplog)[0].status == 404


def test_an_undecodable_path_is_a_client_error(app, caplog):
    response = app.get("/%ff", status=400)
    assert response.json["detail"] == "The path is not UTF-8."
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_an_unhandled_error_gets_a_json_response(app, caplog):
    response = app.get("/broken", status=500)
    known_as = response.headers["X-Request-ID"]
    assert response.content_type == "application/problem+json"
    assert response.json["request_id"] == known_as
    assert "RuntimeError" not in response.text
    (error,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert error.request_id == known_as
    assert error.exc_info[0] is RuntimeError
    assert access(caplog)[0].status == 500


def test_an_unhandled_error_gets_a_page_in_browsers(app):
    response = app.get("/broken", headers={"Accept": "text/html,*/*"}, status=500)
    assert response.content_type == "text/plain"
    assert response.headers["X-Request-ID"] in response.text


def test_errors_are_raised_in_tests(config):
    with pytest.raises(RuntimeError):
        TestApp(config.make_wsgi_app()).get("/broken")


def test_retries_share_the_id_and_log_one_line(app, caplog):
    response = app.get("/at_last")
    (line,) = access(caplog)
    assert line.status == 200
    assert line.request_id == response.headers["X-Request-ID"]


def test_a_request_that_always_fails_logs_one_line(app, caplog):
    app.get("/never", status=500)
    assert [line.status for line in access(caplog)] == [500]


def test_a_retried_request_with_an_error_view_logs_one_line(config, caplog):
    caplog.set_level(logging.DEBUG, logger="combine_core")
    config.add_exception_view(lambda request: Response("sorry", status=503), RetryableException)
    app = as_served(config.make_wsgi_app())
    assert app.get("/never", status=503).headers["X-Request-ID"]
    assert [line.status for line in access(caplog)] == [503]


def test_a_nested_request_restores_the_outer_one(app, caplog):
    response = app.get("/sub")
    assert response.text != response.headers["X-Request-ID"]
    (after,) = [r for r in caplog.records if r.getMessage() == "after the inner one"]
    assert after.request_id == response.headers["X-Request-ID"]


def test_outside_of_requests_there_is_no_id(app, caplog):
    app.get("/ordinary")
    caplog.clear()
    log.info("outside")
    assert caplog.records[0].request_id is None
    assert json.dumps(caplog.messages) == '["outside"]'
