"""One GET request within a deadline: no redirect followed, no proxy, no more read than asked for."""

import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from time import perf_counter
from typing import Any
from urllib.parse import unquote, urlsplit

from combine_health.checks.connection import Deadline, Stream, connect

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._:%~-]+")  # names, and IPv6 addresses with their zone


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart. ``shown`` has neither its user part nor its query: these hold secrets."""

    scheme: str
    host: str
    port: int
    path: str
    shown: str
    authorization: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse(url: str) -> Target:
    """Take ``url`` apart. Raises `ValueError`, whose text does not repeat the URL."""
    if any(sign.isspace() or not sign.isprintable() for sign in url):
        raise ValueError("the URL has white space in it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("this is no URL: check its host and port") from None
    if parts.scheme not in _PORTS:
        raise ValueError("the URL must begin with http:// or https://")
    if not parts.hostname or port == 0:
        raise ValueError("the URL names no host, or no port that can be used")
    try:
        host = parts.hostname.encode("idna").decode()
        path = (parts.path or "/").encode("ascii").decode()
        query = parts.query.encode("ascii").decode()
    except UnicodeError:
        raise ValueError("the URL must be percent-encoded ASCII, and its host a name") from None
    if not _HOST.fullmatch(host):  # IDNA makes a space of some letters
        raise ValueError("the URL names no host that there can be")
    authorization = password = None
    if parts.username is not None:
        password = unquote(parts.password or "")
        user = f"{unquote(parts.username)}:{password}"
        authorization = "Basic " + b64encode(user.encode()).decode()
    port = port or _PORTS[parts.scheme]
    asked = f"{path}?{query}" if query else path
    target = Target(parts.scheme, host, port, asked, "", authorization, password)
    return replace(target, shown=f"{target.scheme}://{target.authority}{path}")


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came back; ``body`` is its beginning, ``seconds`` is how long it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


def get(
    target: Target,
    deadline: Deadline,
    *,
    most: int,
    headers: Mapping[str, str] | None = None,
    ca_file: str = "",
) -> Exchange:
    """Ask for the URL and read at most ``most`` bytes of the body.

    Raises `OSError` (`ssl.SSLError` among it) and `http.client.HTTPException`.
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
        answer = client.getresponse()
        with answer:
            body = answer.read(most)
        # Field names are compared without case.
        found = {name.lower(): value for name, value in answer.getheaders()}
    return Exchange(answer.status, found, body, perf_counter() - began)
