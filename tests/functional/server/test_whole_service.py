"""Tests the complete service behind its own server: pserve, the add-ons and PostgreSQL."""

from __future__ import annotations

from tests.functional.health.served import Connection, request, until

READY = {"status": "ready", "database": "connected"}


def connect(service):
    return Connection(int(service.url.rpartition(":")[2]))


def ask(service, path):
    with connect(service) as connection:
        connection.send(request(path, Connection="close"))
        return connection.answer()


def test_probes_do_not_reach_the_application(start_service):
    service = start_service({"COMBINE_HEALTH_DRAIN_SECONDS": "0"})
    until(lambda: ask(service, "/health/ready").status == 200)
    lane, view = ask(service, "/health/ready"), ask(service, "/health/ready?")
    assert lane.json == view.json == READY
    # The application adds headers to every response, which tell the two apart.
    assert "X-Request-ID" not in lane.headers
    assert set(view.headers) - set(lane.headers) <= {"X-Request-Id", "X-Request-ID"}
    assert set(lane.headers) <= set(view.headers)
    server = ask(service, "/health/detailed").json["server"]
    assert server["threads"] == 8
    assert service.stop() == 0


def test_the_service_drains(start_service):
    service = start_service({"COMBINE_HEALTH_DRAIN_SECONDS": "60"})
    until(lambda: ask(service, "/health/ready").status == 200)
    service.process.terminate()
    until(lambda: ask(service, "/health/ready").status == 503)
    assert ask(service, "/health/ready").json == {**READY, "status": "draining"}
    # Requests are still served: this one is redirected to sign-in.
    with connect(service) as connection:
        connection.send(request("/api/v1/me"))
        answer = connection.answer()
        assert (answer.status, answer.json["status"]) == (401, 401)
        assert answer.headers["Connection"] == "close"
    assert service.stop() == 0
