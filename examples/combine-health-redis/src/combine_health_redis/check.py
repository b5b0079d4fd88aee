"""Checks Redis with one short connection and one PING, and reports a cause code for each failure."""

import errno
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from combine_health import HealthResult, current_check

# Connecting, signing in and PING each get a share of the timeout. One share is unused, so that the check
# ends before its deadline and can report the operation that it waited for.
SHARES = 4


@dataclass(frozen=True)
class RedisCheck:
    """A check that is healthy if Redis responds to PING.

    Causes: ``refused``, ``unknown_host``, ``timeout``, ``wrong_password``, ``loading``,
    ``no_permission``, ``bad_answer``, ``unreachable``. Raises `ValueError` for an invalid URL.
    """

    url: str = field(repr=False)

    remedies: ClassVar[Mapping[str, str]] = {
        "refused": "Start Redis: systemctl start redis-server, or docker-compose up -d redis.",
        "unknown_host": "Check the host in combine_health.redis_url.",
        "timeout": "Redis hangs, or a firewall drops packets: redis-cli --latency, SLOWLOG GET.",
        "wrong_password": "Check user and password in combine_health.redis_url.",
        "loading": "Redis loads its data after a start; wait. redis-cli INFO persistence shows the"
        " progress.",
        "no_permission": "Allow PING for this user: ACL SETUSER NAME +ping.",
        "bad_answer": "The server at this address is not Redis: check the port.",
        "unreachable": "Check the network between here and Redis.",
    }

    def __post_init__(self) -> None:
        try:
            # This only parses the URL and opens no connection.
            self._client(timeout=1.0).close()
        except ValueError:
            raise ValueError(
                "the URL of Redis must begin with redis://, rediss:// or unix://"
            ) from None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that combine_health masks in every result."""
        password = urlsplit(self.url).password
        return (unquote(password),) if password else ()

    def __call__(self, _registry: Any) -> HealthResult:
        began = perf_counter()
        # The operator may have changed the timeout of the check.
        client = self._client(current_check().timeout)
        try:
            client.ping()
        except (exceptions.RedisError, OSError) as error:
            return HealthResult.failing(_cause(error), str(error))
        finally:
            client.close()
        return HealthResult.healthy(latency_ms=round(1000 * (perf_counter() - began), 3))

    def _client(self, timeout: float) -> "Redis":
        share = timeout / SHARES
        return Redis.from_url(
            self.url,
            socket_connect_timeout=share,
            socket_timeout=share,
            # The next run is the retry.
            retry=Retry(NoBackoff(), 0),
        )


def _cause(error: BaseException) -> str:
    if isinstance(error, exceptions.BusyLoadingError):
        return "loading"
    if isinstance(error, exceptions.AuthenticationError):
        return "wrong_password"
    if isinstance(error, exceptions.NoPermissionError):
        return "no_permission"
    if isinstance(error, exceptions.TimeoutError):
        return "timeout"
    if isinstance(error, exceptions.ResponseError | exceptions.InvalidResponse):
        return "bad_answer"
    for one in _chain(error):
        if isinstance(one, socket.gaierror):
            return "unknown_host"
        if isinstance(one, TimeoutError):
            return "timeout"
        if isinstance(one, ConnectionRefusedError) or (
            isinstance(one, FileNotFoundError) and one.errno == errno.ENOENT
        ):
            return "refused"  # or the Unix socket does not exist
    return "unreachable"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and the errors that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
