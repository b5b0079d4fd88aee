"""Tests the check against servers that behave like Redis, and against faulty servers."""

import combine_health_redis
import pytest
from combine_health_redis.check import RedisCheck

from combine_health.testing import (
    HealthApp,
    closed_port,
    leaks,
    run_check,
    silent_server,
    talking_server,
)

CANARY = "c4n4ry-pw"


def answering(answer):
    """Run a server that sends the same response (RESP) to every command."""

    def talk(connection):
        connection.settimeout(10)
        while got := connection.recv(65536):
            # A command is an array; redis-py may send several at once.
            connection.sendall(answer * got.count(b"*"))

    return talking_server(talk)


def test_redis_answers():
    with answering(b"+PONG\r\n") as (host, port):
        seen = run_check(RedisCheck(f"redis://{host}:{port}/?protocol=2"))
    assert seen.status == "healthy"
    assert seen.data["latency_ms"] > 0


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading"),
        (b"-NOAUTH Authentication required.\r\n", "wrong_password"),
        (b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "wrong_password"),
        (b"-NOPERM this user has no permissions to run the 'ping' command\r\n", "no_permission"),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", "bad_answer"),
    ],
)
def test_error_response(answer, cause):
    with answering(answer) as (host, port):
        seen = run_check(RedisCheck(f"redis://{host}:{port}/?protocol=2"))
    assert (seen.status, seen.cause) == ("failing", cause)
    assert seen.remedy == RedisCheck.remedies[cause]


def test_no_process_listens():
    with closed_port() as (host, port):
        assert run_check(RedisCheck(f"redis://{host}:{port}/")).cause == "refused"
    assert run_check(RedisCheck("unix:///no/such.sock")).cause == "refused"


def test_redis_hangs_and_the_check_does_not():
    with silent_server() as (host, port):
        seen = run_check(RedisCheck(f"redis://{host}:{port}/"), timeout=2)
    assert (seen.cause, seen.running_for) == ("timeout", None)


def test_the_password_is_never_shown():
    with answering(f"-WRONGPASS for {CANARY}\r\n".encode()) as (host, port):
        app = HealthApp(
            combine_health_redis,
            settings={"combine_health.redis_url": f"redis://:{CANARY}@{host}:{port}/"},
        )
        seen = app.run("redis")
    assert seen.cause == "wrong_password"
    assert leaks(seen, [CANARY]) == []
    assert CANARY not in repr(seen.check)


def test_in_an_application():
    with closed_port() as (host, port):
        settings = {"combine_health.redis_url": f"redis://{host}:{port}/"}
        degraded = HealthApp(combine_health_redis, settings=settings)
        assert degraded.get("/health/ready") == (200, {"status": "ready", "redis": "disconnected"})
        settings["combine_health.redis_critical"] = "true"
        down = HealthApp(combine_health_redis, settings=settings)
        assert down.get("/health/ready")[0] == 503


@pytest.mark.parametrize("url", ["http://host/", "redis", f"redis:{CANARY}"])
def test_an_unusable_url(url):
    with pytest.raises(ValueError, match="must begin with") as caught:
        RedisCheck(url)
    assert CANARY not in str(caught.value)
