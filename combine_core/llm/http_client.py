"""The HTTP client of the vendors' SDKs, which limits the total time and size of each call.

HTTP libraries limit the time of each read, so a server that sends single bytes slowly can keep a call open
forever. Here every connect, write and read gets the remaining time of the call. Two times are not limited: a
DNS lookup takes as long as the system's resolver needs, and the connect timeout applies to each address of a
name separately.

Environment variables do not change the target or the content of requests. Proxy variables are ignored, and
only the key and the headers in `_HEADERS` are sent. SSL_CERT_FILE and SSL_CERT_DIR are respected.
"""

import logging
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore2
import httpx2

# At INFO level these log the full address of each request, at DEBUG level much more.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)

CONNECT_TIMEOUT = 10.0
# Hundreds of times the longest answer that a step asks for.
MAX_ANSWER_BYTES = 8 * 1024 * 1024

_HEADERS = frozenset(
    """
    host connection accept accept-encoding content-type content-length user-agent anthropic-version
    """.split()  # noqa: SIM905
)


class AnswerTooLargeError(httpx2.ReadError):
    """The answer has more than `MAX_ANSWER_BYTES`, sent or decoded."""

    def __init__(self) -> None:
        super().__init__(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")


class _Allowance:
    """The remaining time and size of one call."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._bytes = MAX_ANSWER_BYTES

    def cap(self, timeout: float | None, expired: type[Exception]) -> float:
        """Limit `timeout` to the remaining time. Raise `expired` if no time is left."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise expired("the call exceeded its total time limit")
        return left if timeout is None else min(timeout, left)

    def take(self, count: int) -> None:
        self._bytes -= count
        if self._bytes < 0:
            raise AnswerTooLargeError


def _decode(response: httpx2.Response) -> httpx2.Response:
    """Return the response with its whole body decoded. A small body can decode to gigabytes."""
    allowance = _allowance.get()
    body = bytearray()
    # The SDK never gets a response that is too large, so nobody else would give its connection back.
    with closing(response):
        for piece in response.iter_bytes():
            allowance.cap(None, httpx2.ReadTimeout)
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                raise AnswerTooLargeError
    headers = response.headers.copy()
    for name in ("content-encoding", "content-length", "transfer-encoding"):
        headers.pop(name, None)
    return httpx2.Response(response.status_code, headers=headers, content=bytes(body))


# The client runs in the calling thread, so its sockets can read the allowance of that call.
_allowance: ContextVar[_Allowance] = ContextVar("allowance")


@contextmanager
def call_within(seconds: float) -> Iterator[httpx2.Timeout]:
    """Limit the request in the block to `seconds`. Yield the timeouts for the client."""
    token = _allowance.set(_Allowance(seconds))
    try:
        yield httpx2.Timeout(seconds, connect=min(CONNECT_TIMEOUT, seconds))
    finally:
        _allowance.reset(token)


def make_client(authorization: tuple[str, str] | None) -> httpx2.Client:
    """Create a thread-safe client. `authorization` is the name and value of the header with the key."""

    def clean(request: httpx2.Request) -> None:
        for name in set(request.headers) - _HEADERS:
            del request.headers[name]
        if authorization is not None:
            request.headers[authorization[0]] = authorization[1]

    return httpx2.Client(
        transport=_Transport(),
        follow_redirects=False,
        trust_env=False,
        event_hooks={"request": [clean]},
    )


class _Transport(httpx2.HTTPTransport):
    def __init__(self) -> None:
        context = httpx2.create_ssl_context()
        super().__init__(verify=context)
        # The base class cannot pass a backend to its pool, so the pool is replaced.
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context,
            max_connections=1000,
            max_keepalive_connections=100,
            keepalive_expiry=5.0,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return _decode(super().handle_request(request))


class _Backend(httpcore2.NetworkBackend):
    def __init__(self) -> None:
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        timeout = _allowance.get().cap(timeout, httpcore2.ConnectTimeout)
        return _Stream(
            self._sockets.connect_tcp(host, port, timeout, local_address, socket_options)
        )


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        allowance = _allowance.get()
        data = self._stream.read(max_bytes, allowance.cap(timeout, httpcore2.ReadTimeout))
        allowance.take(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _allowance.get().cap(timeout, httpcore2.WriteTimeout))

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        timeout = _allowance.get().cap(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
