"""HTTP to a provider: no redirects, small answers, and a deadline for every exchange.

The limits hold whatever the server does. Socket time-outs end a silence. A server that sends its
handshake or a header byte by byte is cut off at the deadline. An answer is read up to a maximum size,
which also holds for the decompressed body.

Proxies (HTTPS_PROXY, NO_PROXY) are taken from the environment, and so are authorities
(REQUESTS_CA_BUNDLE, SSL_CERT_FILE, CURL_CA_BUNDLE), if the settings name none: many networks have no
other way out. A ``.netrc`` is ignored, because it could send somebody's password to the provider.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError

from combine_auth.failures import (
    RETRY_AFTER_S,
    FailureCode,
    SignInFailure,
    provider_unavailable,
)
from combine_auth.setting_values import is_on_loopback

# The first that is set counts.
CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
MAX_ANSWER_BYTES: Final = 200_000
# Per provider. More requests wait for their turn.
MAX_CONCURRENT: Final = 32
_LONGEST_RETRY_AFTER_S: Final = 3600
_BUSY_RETRY_AFTER_S: Final = 5

T = TypeVar("T")
_thread = threading.local()


@dataclass(frozen=True)
class Timeouts:
    """How long a provider is waited for, in seconds.

    :ivar connect: for a connection
    :ivar read: for each piece of an answer
    :ivar total: for everything that one person waits for: metadata, token, keys
    """

    connect: float = 3.0
    read: float = 5.0
    total: float = 8.0

    @property
    def request_options(self) -> dict[str, Any]:
        return {"timeout": (self.connect, self.read), "allow_redirects": False}


class AnswerTooLarge(requests.RequestException):
    """The answer is larger than any that a provider should give."""


class BoundedExchanges:
    """Runs the HTTP exchanges with one provider, each on its own thread, which is cut off at a deadline."""

    def __init__(self, max_concurrent: int = MAX_CONCURRENT) -> None:
        self._slots = threading.BoundedSemaphore(max_concurrent)

    def run(self, work: Callable[[], T], deadline: float) -> T:
        """Return or raise what `work` does. Raises SignInFailure at the deadline (monotonic clock)."""
        if not self._slots.acquire(timeout=max(0.0, deadline - monotonic())):
            detail = "too many requests to the provider are under way"
            raise provider_unavailable(detail, _BUSY_RETRY_AFTER_S)
        sockets = _OpenSockets()
        result: Future[T] = Future()

        def run() -> None:
            _thread.sockets = sockets
            try:
                result.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
                result.set_exception(error)
            finally:
                sockets.cut()
                self._slots.release()

        threading.Thread(target=run, name="combine_auth.openid", daemon=True).start()
        wait([result], max(0.0, deadline - monotonic()))
        if not result.done():
            sockets.cut()
            raise provider_unavailable("the provider did not finish its answer in time")
        return result.result()


class _OpenSockets:
    """The sockets that an exchange has opened, to be cut off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_cut = False

    def add(self, connection: socket.socket) -> None:
        # A duplicate, because TLS detaches the original.
        duplicate = connection.dup()
        with self._lock:
            self._sockets.append(duplicate)
            is_cut = self._is_cut
        if is_cut:
            self.cut()

    def cut(self) -> None:
        """End all reading and writing on these sockets, and on those that are added later."""
        with self._lock:
            self._is_cut = True
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            with suppress(OSError):  # the other side has closed it
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def configure_session(session: requests.Session, url: str, ca_file: Path | None = None) -> None:
    """Make a session keep to the limits of this module. It serves one exchange with the server of `url`."""
    session.trust_env = False
    named = (os.environ.get(variable) for variable in CA_VARIABLES)
    session.verify = str(ca_file) if ca_file else next(filter(None, named), True)
    # A proxy cannot reach this machine's loopback.
    session.proxies = {} if is_on_loopback(url) else get_environ_proxies(url)
    session.headers["User-Agent"] = "combine"
    session.headers["Accept-Encoding"] = "identity"
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter())


def get_json(
    url: str,
    document: str,
    timeouts: Timeouts,
    *,
    ca_file: Path | None = None,
    access_token: str | None = None,
) -> object:
    """The JSON at an address; ``document`` names it in messages. Raises SignInFailure."""
    try:
        with requests.Session() as session:
            configure_session(session, url, ca_file)
            headers = {"Accept": "application/json"}
            if access_token is not None:
                headers["Authorization"] = f"Bearer {access_token}"
            response = session.get(url, headers=headers, **timeouts.request_options)
    except Exception as error:  # noqa: BLE001 - see exchange_failure
        raise exchange_failure(error, document) from None
    failure = status_failure(response, document)
    if failure is None and response.status_code != 200:
        failure = provider_unavailable(f"{document}: the answer is {response.status_code}")
    if failure is not None:
        raise failure
    try:
        content: object = response.json()
    except (ValueError, RecursionError):
        raise provider_unavailable(f"{document} is not JSON") from None
    return content


def status_failure(response: requests.Response, endpoint: str) -> SignInFailure | None:
    """The failure for an answer whose status is neither success nor an OAuth error."""
    status = response.status_code
    if status == 429 or status >= 500:
        return provider_unavailable(f"{endpoint} answered {status}", _retry_after(response))
    if 300 <= status < 400:
        detail = f"{endpoint} answered {status}, a redirect, which is not followed"
        return SignInFailure(FailureCode.PROVIDER_ERROR, detail)
    return None


def exchange_failure(error: Exception, endpoint: str) -> SignInFailure:
    """The failure for an exchange without an answer, or with one that cannot be read.

    Takes any exception. For some answers and addresses, requests, urllib3 and Authlib raise what they do
    not document: ``OverflowError`` for a number, ``ValueError`` for a ``Location``. Names the type of the
    exception, not its text, which may hold the answer.
    """
    if isinstance(error, AnswerTooLarge):
        return provider_unavailable(f"{endpoint} answered too much: {error}")
    if isinstance(error, requests.Timeout):
        return provider_unavailable(f"{endpoint} did not answer in time")
    if isinstance(error, requests.exceptions.SSLError):
        detail = f"{endpoint}: the certificate or the TLS connection is not accepted"
        return provider_unavailable(detail)
    if isinstance(error, requests.RequestException):
        return provider_unavailable(f"{endpoint} cannot be reached ({type(error).__name__})")
    if isinstance(error, OSError):
        which = " or ".join(CA_VARIABLES)
        detail = (
            f"{endpoint} cannot be asked ({type(error).__name__}): can the file of {which} be read?"
        )
        return provider_unavailable(detail)
    detail = f"{endpoint} gave an answer that cannot be read ({type(error).__name__})"
    return SignInFailure(FailureCode.PROVIDER_ERROR, detail)


def _retry_after(response: requests.Response) -> int:
    """Seconds from the header, if it holds a number (RFC 9110, 10.2.3). Dates are not supported."""
    given: Any = response.headers.get("Retry-After", "")
    if re.fullmatch(r"[0-9]{1,9}", given):
        return max(1, min(int(given), _LONGEST_RETRY_AFTER_S))
    return RETRY_AFTER_S


class _Adapter(HTTPAdapter):
    """Reads answers whole, up to the maximum size, on connections that can be cut off."""

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
        # Set, because requests would guess it from the bytes, which is slow.
        response.encoding = "utf-8"
        response._content = _decompressed(body, response.headers.get("Content-Encoding", ""))  # noqa: SLF001
        return response


def _read(response: requests.Response) -> bytes:
    body = b""
    # Until an empty read: only then does urllib3 notice an answer that was cut short.
    while len(body) <= MAX_ANSWER_BYTES:
        more = response.raw.read(MAX_ANSWER_BYTES + 1 - len(body), decode_content=False)
        if not more:
            break
        body += more
    return body


def _decompressed(body: bytes, encoding: str) -> bytes:
    if encoding.strip().lower() in {"gzip", "deflate"}:
        try:
            body = zlib.decompressobj(wbits=47).decompress(body, MAX_ANSWER_BYTES + 1)
        except zlib.error as error:
            raise requests.ConnectionError("cannot be decompressed") from error
    if len(body) > MAX_ANSWER_BYTES:
        raise AnswerTooLarge(f"more than {MAX_ANSWER_BYTES} bytes")
    return body


def _registered(connection: socket.socket) -> socket.socket:
    sockets: _OpenSockets | None = getattr(_thread, "sockets", None)
    if sockets is not None:
        sockets.add(connection)
    return connection


class _HTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _registered(super()._new_conn())


class _HTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _registered(super()._new_conn())


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS: Final = {"http": _HTTPPool, "https": _HTTPSPool}
