"""Tests that the views return the same responses on a server without a health lane."""

import http.client

import pytest
from pyramid.config import Configurator

from combine_health import start_health
from combine_health.engine.registry import health_of
from tests.functional.health.served import PATIENCE, serving, until


@pytest.fixture
def port():
    settings = {"combine_health.load_entry_points": "false"}
    with Configurator(settings=settings) as config:
        config.include("combine_health")
        config.add_health_check("database", lambda _: True, words=("connected", "disconnected"))
        app = config.make_wsgi_app()
    start_health(app.registry)
    with serving(app) as url:
        yield int(url.rpartition(":")[2])
    health_of(app.registry).runner.stop()


def ask(port, path, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        headers = {k.title(): v for k, v in answer.getheaders() if k not in {"Date", "Server"}}
        return answer.status, headers, answer.read()
    finally:
        connection.close()


def test_views_respond_on_wsgiref(port, serve):
    until(lambda: ask(port, "/health/ready")[0] == 200)
    ours = serve()
    for path in ("/health", "/health/ready", "/health/startup"):
        for method in ("GET", "HEAD"):
            assert ask(port, path, method) == ask(ours.port, path, method)
