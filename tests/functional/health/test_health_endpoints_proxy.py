"""Tests a public client behind a proxy with a private address, through a real waitress."""

import http.client
import threading
from contextlib import contextmanager

import pytest

from combine_health.engine.registry import health_of

create_server = pytest.importorskip(
    "waitress.server", reason="waitress is not installed"
).create_server

PATIENCE = 60


@contextmanager
def served(app, **options):
    """Serve ``app`` on a free port. Yield a function that returns whether a request gets details."""
    sockets = {}
    server = create_server(app.app, sockets, host="127.0.0.1", port=0, threads=1, **options)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()

    def is_full(**headers):
        connection = http.client.HTTPConnection(
            "127.0.0.1", server.effective_port, timeout=PATIENCE
        )
        connection.request(
            "GET",
            "/health/detailed",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == 200
        return b'"version"' in body

    try:
        yield is_full
    finally:
        # Call it in the thread of the loop, like a signal handler of a separate process.
        server.trigger.pull_trigger(server.task_dispatcher.shutdown)
        server.trigger.pull_trigger(lambda: [one.close() for one in list(sockets.values())])
        thread.join(PATIENCE)


PROXY = {"trusted_proxy": "127.0.0.1", "trusted_proxy_headers": "x-forwarded-for"}


def test_a_client_without_a_proxy_gets_details(make_app):
    with served(make_app()) as is_full:
        assert is_full()


def test_a_client_behind_an_untrusted_proxy_gets_no_details(make_app):
    """waitress then removes X-Forwarded-For, so only the setting reveals the proxy."""
    with served(make_app()) as is_full:
        assert is_full(X_Forwarded_For="203.0.113.9")
        assert not is_full(X_Forwarded_For="203.0.113.9", Via="1.1 haproxy")
    with served(make_app(behind_proxy="true")) as is_full:
        assert not is_full(X_Forwarded_For="203.0.113.9")
        assert not is_full()


@pytest.mark.parametrize("behind_proxy", ["false", "true"])
def test_a_client_behind_a_trusted_proxy_is_recognized(make_app, behind_proxy):
    with served(make_app(behind_proxy=behind_proxy), **PROXY) as is_full:
        assert not is_full(X_Forwarded_For="203.0.113.9")
        assert not is_full(
            X_Forwarded_For="127.0.0.1, 203.0.113.9"
        )  # the client has forged the first address
        assert is_full(X_Forwarded_For="10.0.0.7")
        assert is_full() is (behind_proxy == "false")


def test_a_client_behind_two_proxies_is_recognized(make_app):
    """waitress drops the hops beyond ``trusted_proxy_count``."""
    with served(make_app(behind_proxy="true"), **PROXY, trusted_proxy_count=2) as is_full:
        assert not is_full(X_Forwarded_For="203.0.113.9, 10.0.0.7")
        assert is_full(X_Forwarded_For="10.0.0.8, 10.0.0.7")
    with served(make_app(behind_proxy="true"), **PROXY) as is_full:
        assert is_full(X_Forwarded_For="203.0.113.9, 10.0.0.7")


def test_the_token_works_behind_any_proxy(make_app):
    token = "c4n4ry-t0k3n-0123456789"
    app = make_app(behind_proxy="true", token=token)
    assert health_of(app.app.registry).settings.behind_proxy
    with served(app, **PROXY) as is_full:
        assert is_full(X_Forwarded_For="203.0.113.9", X_Health_Token=token)
        assert not is_full(X_Forwarded_For="203.0.113.9", X_Health_Token=token[::-1])
