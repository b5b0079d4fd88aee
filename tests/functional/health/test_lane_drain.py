"""Tests that the server shuts down without losing a request."""

import signal
import socket
import subprocess

import pytest

from tests.functional.health.served import PATIENCE, Connection, Served, request, until

LONG = "drain_seconds = 60\nstop_timeout = 60\n"  # this is longer than a test waits


def refuses(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_draining_is_reported_while_requests_are_served(serve):
    server = serve(server=LONG)
    server.wait_for("/health/ready", 200)
    with server.connect() as kept:
        kept.send(request("/health/ready"))
        assert kept.answer().status == 200
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("/health/ready", 503)
        kept.send(request("/health/ready"))
        answer = kept.answer()
        assert answer.json == {"status": "draining", "database": "connected"}
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Connection"] == "close"
        assert kept.ended()
    assert server.ask("/health").json == {"status": "healthy"}
    for path in ("/echo", "/health/ready?x", "/nowhere"):
        with server.connect() as connection:
            connection.send(request(path))
            assert connection.answer().headers["Connection"] == "close"
            assert connection.ended()
    assert server.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.slow
def test_other_signals_start_the_drain(serve, number):
    """Kludex/uvicorn#2596, #1559: a request in progress is cut off."""
    server = serve(server=LONG)
    with server.held(1) as (held,):
        for harmless in (signal.SIGUSR1, signal.SIGUSR2):
            server.process.send_signal(harmless)
        server.wait_for("/health/ready", 200)
        server.process.send_signal(number)
        server.wait_for("/health/ready", 503)
        assert server.ask("/health/ready").json["status"] == "draining"
        held = Connection.of(held.socket.dup())
    assert held.answer().body == b"held"
    held.close()
    server.end(signal.SIGINT)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.slow
def test_a_second_signal_stops_the_server_at_once(serve, second):
    server = serve(server=LONG)
    with server.held(1), server.connect() as waiting:
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("/health/ready", 503)
        waiting.send(request("/health"))
        assert waiting.answer().status == 200
        server.end(second)
        assert "shutting down with 1 requests unfinished: GET /hold" in server.log


def test_started_requests_are_finished(serve):
    """Requests on threads, in the queue, half sent, and responses on the way to a slow reader."""
    server = serve(server="stop_timeout = 60\nthreads = 2\n")
    size = 8_000_000
    slow, queued, half = server.connect(), server.connect(), server.connect()
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    slow.send(request(f"/big?n={size}"))
    slow._more()
    with server.held() as held:
        queued.send(request("/echo", "PUT"))
        half.send(request("/echo", "POST", Content_Length="6", body=b"123"))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(server.port))
        half.send(b"456")
        held = [connection.socket.dup() for connection in held]
    for one in held:
        with one:
            one.settimeout(PATIENCE)
            assert b"Connection: close" in one.recv(65536, socket.MSG_WAITALL)
    assert queued.answer().body == b"PUT 0"
    assert half.answer().body == b"POST 6"
    assert len(slow.answer().body) == size
    for connection in (slow, queued, half):
        assert connection.ended()
        connection.close()
    assert server.process.wait(PATIENCE) == 0
    assert "unfinished" not in server.log


def test_no_request_is_lost_during_the_drain(serve):
    """Every request on an open connection gets a response until the server closes the connection."""
    server = serve(server="drain_seconds = 1\nthreads = 4\n")
    connections = [server.connect() for _ in range(8)]
    server.process.send_signal(signal.SIGTERM)
    answered = 0
    while connections:
        for connection in list(connections):
            connection.send(request(("/health", "/echo", "/health/ready")[answered % 3]))
            answer = connection.answer()
            answered += 1
            if answer.headers.get("Connection") == "close":
                assert connection.ended()
                connection.close()
                connections.remove(connection)
    # The server accepts new connections until the second ends.
    while not refuses(server.port):
        try:
            connection = server.connect()
        except ConnectionError:
            # The connection is refused, or reset while the socket closes.
            assert refuses(server.port)
            break
        with connection:
            try:
                connection.send(request("/echo"))
                assert connection.answer().status == 200
            except ConnectionError:
                # The system may accept a connection while the socket closes, and then reset it.
                assert refuses(server.port)
                break
        answered += 1
    assert answered > 16
    assert server.process.wait(PATIENCE) == 0


def test_idle_connections_do_not_delay_the_exit(serve):
    server = serve(server="stop_timeout = 60\n")
    idle = [server.connect() for _ in range(20)]
    idle[0].send(request("/health"))
    assert idle[0].answer().status == 200
    idle[1].send(b"GET /hea")  # and never send the rest
    assert server.end() == 0
    for connection in idle:
        connection.close()


@pytest.mark.slow
def test_a_stuck_request_delays_the_exit_until_stop_timeout(serve):
    server = serve(server="stop_timeout = 1\n")
    with server.held():
        assert server.end() == 0
    assert "shutting down with 2 requests unfinished: GET /hold, GET /hold" in server.log


@pytest.mark.slow
def test_a_hung_check_does_not_delay_the_exit(serve):
    server = serve("/health", app="hang = yes", server="drain_seconds = 1\n")
    until(lambda: server.ask("/health/ready").json["status"] == "unavailable")
    assert server.end() == 0


def test_ctrl_c_skips_the_drain(serve):
    server = serve(server=LONG)
    with server.held(1):
        server.process.send_signal(signal.SIGINT)
        until(lambda: refuses(server.port))
    assert server.process.wait(PATIENCE) == 0


@pytest.mark.slow
def test_a_server_with_several_addresses_exits_cleanly(serve):
    server = serve(server="listen = 127.0.0.1:0 127.0.0.2:0\ndrain_seconds = 0\n")
    assert server.end() == 0


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("drain_seconds = soon\n", "drain_seconds is 'soon': write a number of seconds"),
        ("stop_timeout = -1\n", "stop_timeout is '-1': write a number of seconds, 0 for none"),
        ("queue_limit = 0\n", "queue_limit is '0': write a whole number above 0"),
    ],
)
def test_an_invalid_option_is_reported(tmp_path, line, named):
    server = Served(tmp_path, server=line, port=-1)
    try:
        assert server.process.wait(PATIENCE) == 1
        assert named in server.log
        assert "Traceback" not in server.log
    except subprocess.TimeoutExpired:
        server.kill()
        raise
    finally:
        server.kill()
