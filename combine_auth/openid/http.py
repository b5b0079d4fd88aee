"""Sends HTTP requests to a provider, without redirects, with a maximum response size and a deadline.

The limits hold for any behaviour of the server. Socket timeouts handle silence. A server that sends its
handshake or a header byte by byte is disconnected at the deadline. The maximum size applies to the body
before and after decompression.

Proxies (HTTPS_PROXY, NO_PROXY) come from the environment, because many networks need them, and so do CA
certificates (REQUESTS_CA_BUNDLE, SSL_CERT_FILE, CURL_CA_BUNDLE) unless the settings name some. A
``.netrc`` is ignored, because it could send a password to the provider.
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

# In order of precedence.
CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
MAX_RESPONSE_BYTES: Final = 200_000
# Per provider. Further requests wait.
MAX_CONCURRENT: Final = 32
_MAX_RETRY_AFTER_S: Final = 3600
_BUSY_RETRY_AFTER_S: Final = 5

T = TypeVar("T")
_thread = threading.local()


@dataclass(frozen=True)
class Timeouts:
    """The timeouts for requests to a provider, in seconds.

    :ivar connect: to open a connection
    :ivar read: to receive each part of a response
    :ivar total: for all requests of one sign-in: metadata, token, keys
    """

    connect: float = 3.0
    read: float = 5.0
    total: float = 8.0

    @property
    def request_options(self) -> dict[str, Any]:
        return {"timeout": (self.connect, self.read), "allow_redirects": False}


class ResponseTooLarge(requests.RequestException):
    """The response exceeds the maximum size."""


class BoundedExchanges:
    """The HTTP exchanges with one provider. Each runs on its own thread and is cut off at its deadline."""

    def __init__(self, max_concurrent: int = MAX_CONCURRENT) -> None:
        self._slots = threading.BoundedSemaphore(max_concurrent)

    def run(self, work: Callable[[], T], deadline: float) -> T:
        """Return the result of `work`, or raise its exception. Raises SignInFailure at the deadline."""
        if not self._slots.acquire(timeout=max(0.0, deadline - monotonic())):
            detail = "too many requests to the provider are in progress"
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
                sockets.shut_down()
                self._slots.release()

        threading.Thread(target=run, name="combine_auth.openid", daemon=True).start()
        wait([result], max(0.0, deadline - monotonic()))
        if not result.done():
            sockets.shut_down()
            raise provider_unavailable("the provider did not finish its response in time")
        return result.result()


class _OpenSockets:
    """The open sockets of an exchange, which can be shut down from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_shut_down = False

    def add(self, connection: socket.socket) -> None:
        # Duplicated, because TLS detaches the original.
        duplicate = connection.dup()
        with self._lock:
            self._sockets.append(duplicate)
            is_shut_down = self._is_shut_down
        if is_shut_down:
            self.shut_down()

    def shut_down(self) -> None:
        """End all reading and writing on these sockets, and on those that are added later."""
        with self._lock:
            self._is_shut_down = True
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            with suppress(OSError):  # the other side has closed it
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def configure_session(session: requests.Session, url: str, ca_file: Path | None = None) -> None:
    """Apply the limits of this module to a session, for one exchange with the server of `url`."""
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
    """Fetch and parse JSON. Raises SignInFailure, with ``document`` as its name in the message."""
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
        failure = provider_unavailable(
            f"{document}: the response has status {response.status_code}"
        )
    if failure is not None:
        raise failure
    try:
        content: object = response.json()
    except (ValueError, RecursionError):
        raise provider_unavailable(f"{document} is not JSON") from None
    return content


def status_failure(response: requests.Response, endpoint: str) -> SignInFailure | None:
    """Return the failure for a status that is neither success nor an OAuth error."""
    status = response.status_code
    if status == 429 or status >= 500:
        return provider_unavailable(f"{endpoint} answered {status}", _retry_after(response))
    if 300 <= status < 400:
        detail = f"{endpoint} answered {status}, a redirect, which is not followed"
        return SignInFailure(FailureCode.PROVIDER_ERROR, detail)
    return None


def exchange_failure(error: Exception, endpoint: str) -> SignInFailure:
    """Return the failure for an exchange without a response, or with an unreadable one.

    Takes any exception, because requests, urllib3 and Authlib raise undocumented ones for some responses:
    ``OverflowError`` for a number, ``ValueError`` for a ``Location``. The failure contains the type of the
    exception, but not its text, which may quote the response.
    """
    if isinstance(error, ResponseTooLarge):
        return provider_unavailable(f"the response of {endpoint} is too large: {error}")
    if isinstance(error, requests.Timeout):
        return provider_unavailable(f"{endpoint} did not answer in time")
    if isinstance(error, requests.exceptions.SSLError):
        detail = f"{endpoint}: the certificate or the TLS connection is not accepted"
        return provider_unavailable(detail)
    if isinstance(error, requests.RequestException):
        return provider_unavailable(f"{endpoint} cannot be reached ({type(error).__name__})")
    if isinstance(error, OSError):
        variables = " or ".join(CA_VARIABLES)
        detail = (
            f"the request to {endpoint} failed ({type(error).__name__}): check that the file of"
            f" {variables} is readable"
        )
        return provider_unavailable(detail)
    detail = f"{endpoint} sent an invalid response ({type(error).__name__})"
    return SignInFailure(FailureCode.PROVIDER_ERROR, detail)


def _retry_after(response: requests.Response) -> int:
    """Return the seconds of the Retry-After header (RFC 9110, 10.2.3). Dates are not supported."""
    value: Any = response.headers.get("Retry-After", "")
    if re.fullmatch(r"[0-9]{1,9}", value):
        return max(1, min(int(value), _MAX_RETRY_AFTER_S))
    return RETRY_AFTER_S


class _Adapter(HTTPAdapter):
    """An adapter that reads whole responses up to the maximum size, on connections that can be cut off."""

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
        # Otherwise requests would guess the encoding from the bytes, which is slow.
        response.encoding = "utf-8"
        response._content = _decompressed(body, response.headers.get("Content-Encoding", ""))  # noqa: SLF001
        return response


def _read(response: requests.Response) -> bytes:
    body = b""
    # Read until an empty read, because urllib3 detects a truncated response only then.
    while len(body) <= MAX_RESPONSE_BYTES:
        more = response.raw.read(MAX_RESPONSE_BYTES + 1 - len(body), decode_content=False)
        if not more:
            break
        body += more
    return body


def _decompressed(body: bytes, encoding: str) -> bytes:
    if encoding.strip().lower() in {"gzip", "deflate"}:
        try:
            body = zlib.decompressobj(wbits=47).decompress(body, MAX_RESPONSE_BYTES + 1)
        except zlib.error as error:
            raise requests.ConnectionError("cannot be decompressed") from error
    if len(body) > MAX_RESPONSE_BYTES:
        raise ResponseTooLarge(f"more than {MAX_RESPONSE_BYTES} bytes")
    return body


def _track(connection: socket.socket) -> socket.socket:
    sockets: _OpenSockets | None = getattr(_thread, "sockets", None)
    if sockets is not None:
        sockets.add(connection)
    return connection


class _HTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _track(super()._new_conn())


class _HTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _track(super()._new_conn())


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS: Final = {"http": _HTTPPool, "https": _HTTPSPool}
