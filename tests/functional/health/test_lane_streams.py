"""Tests that requests in any mixture and split anywhere get their responses in order."""

import itertools
import random
import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyramid.config import Configurator
from pyramid.response import Response

from combine_health.engine.registry import health_of
from combine_health.server.server import Server
from tests.functional.health.served import PATIENCE, Connection, request, until

UP = (200, b'{"status": "healthy"}')
READY = (200, b'{"status": "ready", "database": "connected"}')
KINDS = {
    "health": (request("/health"), "GET", UP),
    "ready": (request("/health/ready"), "GET", READY),
    "head": (request("/health", "HEAD"), "HEAD", (200, b"")),
    "aside": (request("/health", Upgrade="x"), "GET", UP),
    "expecting": (request("/health", Expect="100-continue"), "GET", UP),
    "echo": (request("/echo"), "GET", (200, b"GET 0")),
    "post": (
        request("/echo", "POST", Content_Length="7", body=b"GET /he"),
        "POST",
        (200, b"POST 7"),
    ),
    "chunked": (
        request(
            "/echo", "PUT", Transfer_Encoding="chunked", body=b"5\r\n/heal\r\n2\r\nth\r\n0\r\n\r\n"
        ),
        "PUT",
        (200, b"PUT 7"),
    ),
    "missing": (request("/nowhere", "HEAD"), "HEAD", (404, b"")),
    "blank": (b"\r\n\r\n", None, None),  # between requests, see RFC 9112 section 2.2
}


@pytest.fixture(scope="module", params=[0, 5], ids=["one at a time", "reading ahead"])
def port(request):
    settings = {"combine_health.load_entry_points": "false"}
    with Configurator(settings=settings) as config:
        config.include("combine_health")
        config.add_health_check("database", lambda _: True, words=("connected", "gone"))
        config.add_route("echo", "/echo")
        config.add_view(lambda r: Response(f"{r.method} {len(r.body)}"), route_name="echo")
        app = config.make_wsgi_app()
    own = {"drain_seconds": 0.0, "stop_timeout": 5.0, "queue_limit": None}
    passed = {
        "listen": "127.0.0.1:0",
        "threads": 3,
        "connection_limit": 5000,
        "channel_request_lookahead": request.param,
    }
    server = Server(app, passed, own)
    thread = threading.Thread(target=server.run)
    thread.start()
    port = int(server.listening[0][1])
    until(lambda: ask(port, "/health/ready") == 200)
    yield port
    server.terminate()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    health_of(app.registry).runner.stop()


def ask(port, path):
    with Connection(port) as connection:
        connection.send(request(path))
        return connection.answer().status


def check(connection, kinds):
    for kind in kinds:
        _, method, expected = KINDS[kind]
        if method is not None:
            answer = connection.answer(method)
            assert (answer.status, answer.body if expected[1] else b"") == expected, kind


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 1500), max_size=8),
)
def test_a_stream_of_requests(port, kinds, cuts):
    data = b"".join(KINDS[kind][0] for kind in kinds)
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    with Connection(port) as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in itertools.pairwise(edges):
            connection.send(data[start:end])
        check(connection, kinds)
        # The connection still works.
        connection.send(request("/health"))
        answer = connection.answer()
        assert (answer.status, answer.body) == UP


def test_parallel_streams_of_requests(port):
    """The bytes of forty connections arrive in random order."""
    chance = random.Random(20)
    streams = []
    for _ in range(40):
        kinds = chance.choices(sorted(KINDS), k=30)
        streams.append((Connection(port), kinds, b"".join(KINDS[kind][0] for kind in kinds)))
    left = {index: data for index, (_, _, data) in enumerate(streams)}
    while left:
        index = chance.choice(sorted(left))
        cut = chance.choice([1, 20, 60, 400])
        streams[index][0].send(left[index][:cut])
        left[index] = left[index][cut:]
        if not left[index]:
            del left[index]
    for connection, kinds, _ in streams:
        check(connection, kinds)
        connection.close()
    assert ask(port, "/health") == 200
