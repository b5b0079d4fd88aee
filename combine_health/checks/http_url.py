"""Checks the response of a URL with one GET request within a deadline."""

import re
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from time import perf_counter
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from combine_health.checks.network import (
    REMEDIES,
    Deadline,
    Stream,
    connect,
    deadline_of_run,
    explain,
)
from combine_health.engine.check import HealthResult, Status
from combine_health.options import BuiltIn, option, size, text

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._:%~-]+")  # names, and IPv6 addresses with their zone


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A parsed URL. ``shown`` omits the user part and the query because they may contain secrets."""

    scheme: str
    host: str
    port: int
    path: str
    shown: str
    authorization: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse(url: str) -> HttpTarget:
    """Parse ``url``. Raises `ValueError`, whose message does not repeat the URL."""
    if any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError("the URL must not contain white space or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("the URL is invalid: check its host and port") from None
    if parts.scheme not in _PORTS:
        raise ValueError("the URL must begin with http:// or https://")
    if not parts.hostname or port == 0:
        raise ValueError("the URL must contain a host, and a port other than 0 if it has one")
    try:
        host = parts.hostname.encode("idna").decode()
        path = (parts.path or "/").encode("ascii").decode()
        query = parts.query.encode("ascii").decode()
    except UnicodeError:
        raise ValueError("the URL must be percent-encoded ASCII with a valid host name") from None
    if not _HOST.fullmatch(host):  # IDNA turns some letters into a space
        raise ValueError("the host of the URL is not a valid host name")
    authorization = password = None
    if parts.username is not None:
        password = unquote(parts.password or "")
        user = f"{unquote(parts.username)}:{password}"
        authorization = "Basic " + b64encode(user.encode()).decode()
    port = port or _PORTS[parts.scheme]
    request_path = f"{path}?{query}" if query else path
    target = HttpTarget(parts.scheme, host, port, request_path, "", authorization, password)
    return replace(target, shown=f"{target.scheme}://{target.authority}{path}")


@dataclass(frozen=True, slots=True)
class HttpExchange:
    """An HTTP response. ``body`` is its beginning, and ``seconds`` is the time until it was read."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


def get(
    target: HttpTarget,
    deadline: Deadline,
    *,
    most: int,
    headers: Mapping[str, str] | None = None,
    ca_file: str = "",
) -> HttpExchange:
    """Send one GET request and read at most ``most`` bytes of the body.

    It follows no redirects and uses no proxy. Raises `OSError`, of which `ssl.SSLError` is a subclass,
    and `http.client.HTTPException`.
    """
    began = perf_counter()
    with ExitStack() as stack:
        connection: Any = stack.enter_context(connect(target.host, target.port, deadline))
        if target.scheme == "https":
            context = ssl.create_default_context(cafile=ca_file or None)
            connection.settimeout(deadline.left)
            connection = stack.enter_context(
                context.wrap_socket(connection, server_hostname=target.host)
            )
        client = HTTPConnection(target.host, target.port)
        client.sock = Stream(connection, deadline)
        sent = {"Host": target.authority, "User-Agent": "combine_health", "Connection": "close"}
        if target.authorization:
            sent["Authorization"] = target.authorization
        client.request("GET", target.path, headers={**sent, **(headers or {})})
        response = client.getresponse()
        with response:
            body = response.read(most)
        # Header names are case-insensitive.
        received = {name.lower(): value for name, value in response.getheaders()}
    return HttpExchange(response.status, received, body, perf_counter() - began)


_STATUSES = re.compile(r"\d{3}(-\d{3})?")


def statuses(value: str) -> str:
    """Parse status codes and ranges separated by spaces or commas."""
    words = value.replace(",", " ").split()
    if not words or not all(map(_STATUSES.fullmatch, words)):
        raise ValueError("write status codes, such as 200 or 200-299")
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class HttpUrl(BuiltIn):
    """Failing unless a GET request returns the expected status and text in time.

    The check follows no redirects and uses no proxy. It sends the user part of the URL as Basic
    authentication, and never shows the user part or the query. Causes:
    ``wrong_status``, ``redirected``, ``wrong_body``, ``bad_answer``, ``tls``, and those of a TCP
    port.
    """

    url: str = option("url", text, "An http or https URL.", secret=True)
    status: str = option("statuses", statuses, "The expected status codes.", "200-299")
    contains: str = option("text", text, "Text that the body must contain.", "")
    max_bytes: int = option("bytes", size, "The number of bytes of the body to read.", 64 * 1024)
    ca_file: str = option("path", text, "PEM file of the authorities to trust.", "")
    timeout: float | None = None
    """The time limit of the whole check, if it is shorter than that of a run."""

    remedies: ClassVar[Mapping[str, str]] = {
        **REMEDIES,
        "wrong_status": "Request the URL with curl, and read the log of that service.",
        "redirected": "Set the URL that it redirects to; the check follows no redirects.",
        "wrong_body": "Request the URL with curl: its body lacks the text that the check expects.",
        "bad_answer": "The server on this port does not speak HTTP: check the port.",
        "tls": "Check the certificate and the name: openssl s_client -connect HOST:PORT.",
    }
    defaults: ClassVar[Mapping[str, Any]] = {"interval": 10.0, "timeout": 3.0}

    def problems(self) -> Iterator[str]:
        try:
            parse(self.url)
        except ValueError as error:
            yield str(error)
        try:
            statuses(self.status)
        except ValueError as error:
            yield f"status: {error}"
        if self.timeout is not None and not self.timeout > 0:
            yield "timeout must be above 0 seconds"
        if not 0 < self.max_bytes <= 16 * 2**20:
            yield "max_bytes must be above 0, at most 16M"

    @property
    def secrets(self) -> tuple[str, ...]:
        target = parse(self.url)
        return tuple(filter(None, (target.password, target.authorization)))

    def __call__(self, _registry: Any) -> HealthResult:
        target = parse(self.url)
        try:
            deadline = deadline_of_run(self.timeout)
            response = get(target, deadline, most=self.max_bytes, ca_file=self.ca_file)
        except ssl.SSLError as error:
            cause = explain(error, otherwise="tls")
            return HealthResult.failing(cause, f"{target.shown}: {error.reason or 'TLS failed'}")
        except OSError as error:  # before HTTPException: RemoteDisconnected is both
            return HealthResult.failing(explain(error), f"{target.shown}: {error}")
        except (HTTPException, ValueError) as error:
            return HealthResult.failing("bad_answer", f"{target.shown}: {type(error).__name__}")
        return self._evaluate(response, target.shown)

    def _evaluate(self, response: HttpExchange, shown: str) -> HealthResult:
        data: dict[str, object] = {
            "url": shown,
            "http_status": response.status,
            "latency_ms": round(1000 * response.seconds, 3),
        }
        if not self._is_expected(response.status):
            cause = "redirected" if 300 <= response.status < 400 else "wrong_status"
            return HealthResult.failing(cause, f"{shown} answered {response.status}", **data)
        if self.contains and self.contains.encode() not in response.body:
            return HealthResult.failing(
                "wrong_body", f"the first {len(response.body)} bytes lack the text", **data
            )
        return HealthResult(Status.HEALTHY, data=data)

    def _is_expected(self, status: int) -> bool:
        for word in statuses(self.status).split():
            first, _, last = word.partition("-")
            if int(first) <= status <= int(last or first):
                return True
        return False
