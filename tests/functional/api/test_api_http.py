"""Tests the API over a real connection, for behavior that WebTest cannot show."""

import contextlib
import json
import socket

import pytest
from webtest.http import StopableWSGIServer

from combine_core.database import engine_of
from tests.functional.conftest import build_application

LIMIT = 20_000


@pytest.fixture(scope="module")
def listening(worker_database):
    application = build_application(
        worker_database, {"combine_core.max_request_body_size": str(LIMIT)}
    )
    made = StopableWSGIServer.create(application, host="127.0.0.1")
    yield made
    made.shutdown()
    engine_of(application.registry).dispose()


@pytest.fixture
def server(listening, database_url):
    """A listening server with an empty database."""
    return listening


@pytest.fixture
def ask(server, sign_in):
    """``ask(b"GET /api/v1/me HTTP/1.1", ...)``: the status, headers and body of the response."""
    token = sign_in(app=server.test_app).token

    def ask(line: bytes, *headers: bytes, body: bytes = b"", host: bytes = b"localhost"):
        with contextlib.closing(
            socket.create_connection((server.adj.host, server.adj.port), timeout=20)
        ) as connection:
            lines = [line, b"Host: " + host, b"Connection: close", *headers]
            lines.append(b"Authorization: Bearer " + token.encode())
            connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, rest = answer.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        named = dict(field.lower().split(": ", 1) for field in fields)
        return int(status.split()[1]), named, rest

    return ask


JSON = b"Content-Type: application/json"
POST = b"POST /api/v1/projects HTTP/1.1"


def chunked(data: bytes, size: int) -> bytes:
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_a_chunked_body_has_the_same_limit(ask):
    coding = b"Transfer-Encoding: chunked"
    body = chunked(b'{"name": "Harbour"}', 4)
    assert ask(POST, JSON, coding, body=body)[0] == 201
    # The client does not announce a length, so the server counts the received bytes.
    status, headers, answer = ask(POST, JSON, coding, body=chunked(b" " * (LIMIT + 1), 1000))
    assert (status, headers["content-type"]) == (413, "application/problem+json")
    assert json.loads(answer)["status"] == 413
    status, _, answer = ask(b"GET /api/v1/projects HTTP/1.1")
    assert [project["name"] for project in json.loads(answer)["items"]] == ["Harbour"]


def test_a_body_above_the_limit_gets_413(ask):
    body = json.dumps({"name": "Harbour", "pad": "x" * LIMIT}).encode()
    status, headers, _ = ask(POST, JSON, b"Content-Length: %d" % len(body), body=body)
    assert (status, headers["content-type"]) == (413, "application/problem+json")


def test_a_response_to_head_has_no_body(ask):
    status, headers, body = ask(b"HEAD /api/v1/projects HTTP/1.1")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize("host", [b"[", b"a b", b"x/y", b"", b"\xff"])
def test_an_invalid_host_gets_400(ask, host):
    body = b'{"name": "Harbour"}'
    status, _, _ = ask(POST, JSON, b"Content-Length: %d" % len(body), body=body, host=host)
    assert status == 400 or (status == 201 and host == b"")


@pytest.mark.parametrize(
    "target", [b"/api/v1/projects/%00", b"/api/v1/\xff", b"/api/v1/projects/a%0d%0ab", b"/api//v1"]
)
def test_an_unusual_path_gets_400_or_404(ask, target):
    status, headers, body = ask(b"GET " + target + b" HTTP/1.1")
    assert status in (400, 404), body
    if status == 404:
        assert headers["content-type"] == "application/problem+json"
