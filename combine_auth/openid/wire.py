"""HTTP to a provider: no redirects, small answers, and an end to every exchange.

The limits hold for any server. Time-outs of sockets end a silence; a server that drips bytes, into the
handshake or a header, is cut off at the deadline. Answers are read up to a size, unpacked too.

Of the environment, proxies count (HTTPS_PROXY, NO_PROXY), and so do the certificates that stand in
REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE: many networks have no other way out. A ``.netrc`` does not: it
would send a password of somebody's to the provider.
"""

from __future__ import annotations

import os
import socket
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final, Generic, TypeVar

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError

from combine_auth.failure import FailureCode, SignInFailure
from combine_auth.setting_values import is_on_loopback

CONNECT_S: Final = 3.0
READ_S: Final = 5.0
# For all that one person waits for: metadata, code, keys.
DEADLINE_S: Final = 8.0
LARGEST: Final = 200_000
# Of one provider; more wait for their turn.
AT_ONCE: Final = 32

T = TypeVar("T")
_here = threading.local()


class AnswerTooLarge(requests.RequestException):
    """An answer is larger than anything a provider has to say."""


class Exchanges:
    """The exchanges with one provider, each on a thread that nobody waits for beyond the deadline."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._room = threading.BoundedSemaphore(at_once)

    def within(self, deadline: float, work: Callable[[], T]) -> T:
        """What `work` returns or raises.

        :param deadline: in seconds of the monotonic clock
        :raises SignInFailure: it took longer, or others were under way for as long
        """
        if not self._room.acquire(timeout=max(0.0, deadline - monotonic())):
            detail = "too many requests to the provider are under way"
            raise SignInFailure(FailureCode.PROVIDER_UNAVAILABLE, detail, 5)
        exchange = _Exchange(work, self._room.release)
        threading.Thread(target=exchange.run, name="combine_auth.openid", daemon=True).start()
        if not exchange.done.wait(max(0.0, deadline - monotonic())):
            exchange.cut()
            detail = "the provider did not finish its answer in time"
            raise SignInFailure(FailureCode.PROVIDER_UNAVAILABLE, detail, 30)
        return exchange.result()


class _Exchange(Generic[T]):
    """One piece of work, and the sockets that it has opened."""

    def __init__(self, work: Callable[[], T], release: Callable[[], None]) -> None:
        self.done = threading.Event()
        self._work = work
        self._release = release
        self._returned: list[T] = []
        self._raised: BaseException | None = None
        self._sockets: list[socket.socket] = []
        self._over = False
        self._lock = threading.Lock()

    def run(self) -> None:
        _here.exchange = self
        try:
            self._returned.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised to whoever waits
            self._raised = error
        finally:
            self.cut()
            self._release()
            self.done.set()

    def result(self) -> T:
        if self._raised is not None:
            raise self._raised
        return self._returned[0]

    def opened(self, connection: socket.socket) -> None:
        """Take note of a connection, to be able to cut it."""
        # A duplicate: TLS takes the original over.
        own = connection.dup()
        with self._lock:
            self._sockets.append(own)
            over = self._over
        if over:
            self.cut()

    def cut(self) -> None:
        """End whatever is read or written on its connections."""
        with self._lock:
            self._over = True
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            with suppress(OSError):  # the other side was faster
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def equip(session: requests.Session, url: str) -> None:
    """Make a session keep to the limits; it serves one exchange with the server of `url`."""
    session.trust_env = False
    session.verify = (
        os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    )
    # A proxy is no way to this very machine.
    session.proxies = {} if is_on_loopback(url) else get_environ_proxies(url)
    session.headers["User-Agent"] = "combine"
    session.headers["Accept-Encoding"] = "identity"
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter())


# Of each request.
LIMITS: Final[dict[str, Any]] = {"timeout": (CONNECT_S, READ_S), "allow_redirects": False}


class _Adapter(HTTPAdapter):
    """Reads answers whole, up to the size, on connections that can be cut."""

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **more)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        response = super().send(request, **{**options, "stream": True})
        try:
            body = _read(response)
        except ReadTimeoutError as error:
            raise requests.ReadTimeout from error
        except HTTPError as error:
            raise requests.ConnectionError from error
        finally:
            response.close()
        # Never guessed from the bytes, which takes long.
        response.encoding = "utf-8"
        response._content = _unpacked(body, response.headers.get("Content-Encoding", ""))  # noqa: SLF001
        return response


def _read(response: requests.Response) -> bytes:
    body = b""
    # The end is what an empty read says; before it, an answer that was cut off is not noticed.
    while len(body) <= LARGEST:
        more = response.raw.read(LARGEST + 1 - len(body), decode_content=False)
        if not more:
            break
        body += more
    return body


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding.strip().lower() in {"gzip", "deflate"}:
        try:
            body = zlib.decompressobj(wbits=47).decompress(body, LARGEST + 1)
        except zlib.error as error:
            raise requests.ConnectionError("cannot be unpacked") from error
    if len(body) > LARGEST:
        raise AnswerTooLarge(f"more than {LARGEST} bytes")
    return body


class _HTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _noted(super()._new_conn())


class _HTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _noted(super()._new_conn())


def _noted(connection: socket.socket) -> socket.socket:
    exchange: _Exchange[Any] | None = getattr(_here, "exchange", None)
    if exchange is not None:
        exchange.opened(connection)
    return connection


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS: Final = {"http": _HTTPPool, "https": _HTTPSPool}
