"""Tests rate limits in an application, and with a real Redis."""

import logging
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from webtest import TestApp

from combine_auth.limits import RULES, Limiter, RateLimited, check_limit
from combine_auth.limits import limiter as limiter_module
from combine_auth.limits.limiter import make_storage
from combine_auth.settings import AuthSettings
from combine_core.settings import SETTINGS_KEY, CoreSettings, load_all
from tests.conftest import free_port

MOST = RULES["report"].address.amount


def application(**ini):
    ini = {"combine_core.environment": "development", **ini}
    loaded = load_all(ini, None, {}, [CoreSettings, AuthSettings])
    with Configurator(settings={**ini, SETTINGS_KEY: loaded}) as config:
        config.include("combine_core.settings")
        config.include("combine_core.observe")
        config.include("combine_core.pages")
        config.include("combine_auth.limits")
        config.add_route("asked", "/asked")
        config.add_view(_asked, route_name="asked", renderer="string")
        return config.make_wsgi_app()


def _asked(request):
    check_limit(request, "report")
    return "fine"


def ask(app, address="192.0.2.1", **headers):
    return app.get("/asked", extra_environ={"REMOTE_ADDR": address}, headers=headers, status="*")


def test_a_request_above_the_limit_gets_429_with_retry_after():
    app = TestApp(application())
    assert {ask(app).status_int for _ in range(MOST)} == {200}
    answer = ask(app)
    assert answer.status_int == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == 429
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert ask(app, "192.0.2.2").status_int == 200


def test_a_browser_gets_a_page():
    app = TestApp(application())
    for _ in range(MOST):
        ask(app)
    answer = ask(app, Accept="text/html,*/*;q=0.8")
    assert answer.status_int == 429
    assert answer.content_type == "text/html"
    assert f"Try again in {answer.headers['Retry-After']} seconds" in answer.text
    assert answer.headers["Content-Security-Policy"]


def test_a_forged_address_is_ignored():
    app = TestApp(application())
    for number in range(MOST):
        ask(app, **{"X-Forwarded-For": f"198.51.100.{number}"})
    assert ask(app, **{"X-Forwarded-For": "203.0.113.1"}).status_int == 429


def test_an_unusable_storage_is_an_error_without_the_password():
    with pytest.raises(ConfigurationError, match="RATE_LIMIT_STORAGE") as caught:
        application(**{"combine_auth.rate_limit_storage": "redis://:hunter2@host:many/0"})
    assert "hunter2" not in str(caught.value)


def test_limits_can_be_switched_off():
    app = TestApp(application(**{"combine_auth.rate_limits": "false"}))
    assert {ask(app).status_int for _ in range(MOST + 5)} == {200}


@contextmanager
def redis_server(port):
    """Run a real server for the block."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    command = [
        program,
        "--port",
        str(port),
        "--save",
        "",
        "--appendonly",
        "no",
        "--bind",
        "127.0.0.1",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            storage = make_storage(f"redis://127.0.0.1:{port}/0")
            deadline = time.monotonic() + 60
            while not storage.check():
                assert time.monotonic() < deadline, "redis-server does not respond"
            yield
        finally:
            process.terminate()


def test_two_processes_share_a_limit_in_redis():
    port = free_port()
    with redis_server(port):
        limiters = [Limiter(make_storage(f"redis://127.0.0.1:{port}/0")) for _ in range(2)]
        for number in range(MOST):
            limiters[number % 2].check("report", "192.0.2.1")
        for limiter in limiters:
            with pytest.raises(RateLimited) as caught:
                limiter.check("report", "192.0.2.1")
            assert 1 <= caught.value.wait_seconds <= 60
            limiter.check("report", "192.0.2.2")


def test_an_unreachable_redis_rejects_no_request_and_is_logged(caplog, monkeypatch):
    caplog.set_level(logging.WARNING)
    now = [1000.0]
    monkeypatch.setattr(limiter_module.time, "monotonic", lambda: now[0])
    port = free_port()
    limiter = Limiter(make_storage(f"redis://:hunter2@127.0.0.1:{port}/0"))
    for _ in range(MOST * 3):
        limiter.check("report", "192.0.2.1")
        limiter.hit("device-code", "WDJB-MJHT")
        # Each request asks Redis again.
        now[0] += limiter_module.OUTAGE_S + 1
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert "RATE_LIMIT_STORAGE does not answer" in lines[0]
    monkeypatch.undo()
    limiter._retry_at = 0.0
    limiter = _again(limiter, port)
    assert "applied again" in caplog.records[-1].getMessage()
    assert "hunter2" not in caplog.text


def _again(limiter, port):
    with redis_server(port):
        # The server has no password. It rejects a client that sends one, as if it were unreachable.
        again = Limiter(make_storage(f"redis://127.0.0.1:{port}/0"))
        again._retry_at = limiter._retry_at
        for _ in range(MOST):
            again.check("report", "192.0.2.1")
        with pytest.raises(RateLimited):
            again.check("report", "192.0.2.1")
    return again


def test_a_hanging_redis_delays_few_requests(monkeypatch):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        limiter = Limiter(make_storage(f"redis://127.0.0.1:{silent.getsockname()[1]}/0"))
        started = time.monotonic()
        for _ in range(100):
            limiter.check("report", "192.0.2.1")
        # One request connects and one retries. The 99 others do not ask.
        assert time.monotonic() - started < 5
