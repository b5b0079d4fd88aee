"""Tests busy worker threads: the bounded queue, saturation, stuck threads, and the log."""

import re

from tests.functional.health.served import request, until


def test_a_request_beyond_a_full_queue_is_rejected_at_once(serve):
    server = serve(server="threads = 1\nqueue_limit = 3\n")
    with server.held(1):
        waiting = [server.connect() for _ in range(3)]
        for connection in waiting:
            connection.send(request("/echo"))
        until(lambda: server.ask("/echo").status == 503)
        for method, version in [("GET", "1.1"), ("POST", "1.1"), ("HEAD", "1.1"), ("GET", "1.0")]:
            with server.connect() as beyond:
                beyond.send(request("/echo", method, version) + request("/echo"))
                answer = beyond.answer(method)
                assert beyond.ended()
            assert (answer.version, answer.status) == (f"HTTP/{version}", 503)
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.headers["Connection"] == "close"
            assert 1 <= int(answer.headers["Retry-After"]) <= 30
            if method != "HEAD":
                assert answer.json["status"] == 503
                assert answer.json["title"] == "Service Unavailable"
                assert "3 requests wait" in answer.json["detail"]
        # Malformed requests need a thread as well. Probes do not.
        with server.connect() as malformed:
            malformed.send(b"GET\r\n\r\n")
            assert malformed.answer().status == 503
        assert server.ask("/health").status == 200
    for connection in waiting:
        assert connection.answer().body == b"GET 0"
        connection.close()
    assert server.ask("/echo").status == 200


def test_saturated_workers_are_not_ready_until_the_queue_is_short(serve):
    server = serve(app="combine_health.saturated_after = 0.5")
    with server.held():
        assert server.ask("/health/ready").status == 200  # busy threads alone are not saturation
        waiting = server.connect()
        waiting.send(request("/echo"))
        server.wait_for("/health/ready", 503)
        assert server.ask("/health/ready").json == {
            "status": "unavailable",
            "database": "connected",
        }
        assert server.ask("/health").status == 200
        until(lambda: "slow: all 2 worker threads have been busy" in server.log)
        assert re.search(r"1 requests wait; longest: GET /hold \(\d+ s\), GET /hold", server.log)
    assert waiting.answer().status == 200
    waiting.close()
    server.wait_for("/health/ready", 200)
    detailed = server.ask("/health/detailed").json
    assert detailed["server"]["threads"] == 2


def test_stuck_workers_are_not_alive(serve):
    server = serve(app="combine_health.stuck_after = 0.5")
    with server.held():
        assert server.ask("/health").status == 200
        waiting = server.connect()
        waiting.send(request("/echo"))
        server.wait_for("/health", 503)
        assert server.ask("/health").json == {"status": "unhealthy"}
    waiting.close()
    server.wait_for("/health", 200)


def test_a_long_queue_does_not_flood_the_log(serve):
    server = serve()
    with server.held():
        waiting = [server.connect() for _ in range(100)]
        for connection in waiting:
            connection.send(request("/echo"))
        # This probe came last, so the server has read all requests.
        assert server.ask("/health").status == 200
    for connection in waiting:
        assert connection.answer().status == 200
        connection.close()
    assert 1 <= server.log.count("Task queue depth") <= 2
