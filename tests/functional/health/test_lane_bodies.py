"""Tests that the server limits the memory of request bodies until their requests end."""

import resource
from contextlib import suppress

import pytest

from tests.functional.health.served import request, until

HALF = 100 * 1024  # two bodies fit into the limit, three do not
KEYS = "threads = 2\nbodies_limit = 250k\n"


@pytest.fixture
def server(serve):
    return serve(server=KEYS)


def post(size, sent, **headers):
    return request("/echo", "POST", Content_Length=str(size), body=b"x" * sent, **headers)


def test_bodies_above_the_limit_are_rejected_until_others_end(server):
    # They are half received, on connections that no worker thread has seen.
    first, second = server.connect(), server.connect()
    for connection in (first, second):
        connection.send(post(HALF, 1000))
    until(lambda: is_rejected(server))
    # Small bodies and probes are not affected.
    with server.connect() as small:
        small.send(post(1000, 1000))
        assert small.answer().body == b"POST 1000"
    assert server.ask("/health").status == 200

    first.send(b"x" * (HALF - 1000))
    assert first.answer().body == f"POST {HALF}".encode()
    until(lambda: not is_rejected(server))
    # A connection that ends in the middle of a body frees its memory.
    with server.connect() as third:
        third.send(post(HALF, 1000))
        until(lambda: is_rejected(server))
        second.close()
        until(lambda: not is_rejected(server))
    first.close()


def is_rejected(server):
    """Return whether the server rejects a large body. The body itself is never sent."""
    with server.connect() as connection:
        connection.send(post(HALF, 0, Expect="100-continue"))
        answer = connection.answer()
    if answer.status == 100:
        return False
    assert answer.status == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Connection"] == "close"
    assert "memory" in answer.json["detail"]
    assert "memory is short: the server holds request bodies of" in server.log
    return True


def test_chunks_count_as_they_arrive(server):
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = request("/echo", "POST", Transfer_Encoding="chunked")
    with server.connect() as connection:
        connection.send(head + chunk)
        with server.connect() as other:
            other.send(post(HALF, HALF))
            assert other.answer().status == 200
        with suppress(
            ConnectionError
        ):  # the server may close the connection before it has read everything
            for _ in range(4):
                connection.send(chunk)
            assert connection.answer().status == 503
        until(lambda: "memory is short: the server holds request bodies of" in server.log)
    until(lambda: not is_rejected(server))


def test_a_body_that_waits_for_a_thread_counts(server):
    with server.held(2):
        waiting = [server.connect() for _ in range(2)]
        for connection in waiting:
            connection.send(post(HALF, HALF))
        until(lambda: is_rejected(server))
    for connection in waiting:
        assert connection.answer().status == 200
        connection.close()


def test_a_body_without_room_on_the_disk_gets_503(serve):
    server = serve(server="inbuf_overflow = 10000\n")
    # The system refuses to enlarge a file, as on a full disk.
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
    with server.connect() as connection:
        connection.send(post(HALF, HALF))
        answer = connection.answer()
    assert answer.status == 503
    assert answer.json["detail"] == "The disk for request bodies is full. Try again in 5 s."
    assert int(answer.headers["Retry-After"]) > 0
    assert "no room for a request body in " in server.log
    with server.connect() as small:
        small.send(post(5000, 5000))
        assert small.answer().body == b"POST 5000"
