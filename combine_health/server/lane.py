"""The health lane: probes that are answered on the I/O thread, before a worker thread sees them.

The lane takes plain probes only: ``GET`` or ``HEAD`` of exactly a probe's path, without query or
body. Every other request goes to the views, which give the same answer.
"""

import json
import logging
from collections.abc import Callable, Iterable
from email.utils import formatdate
from http import HTTPStatus
from time import time
from typing import Any, NamedTuple

from pyramid.interfaces import IRoutesMapper
from waitress.parser import HTTPRequestParser

from combine_health.endpoints.views import HealthContext
from combine_health.engine.log_throttle import ThrottledLog
from combine_health.engine.probes import NO_SNAPSHOT, ProbeAnswer, Snapshot
from combine_health.engine.registry import HealthRegistry, IHealthRegistry
from combine_health.server.proxies import are_well_formed

log = ThrottledLog(logging.getLogger("combine_health"))

PATHS = ("/health", "/health/ready", "/health/startup")

METHODS = frozenset({"GET", "HEAD"})
VERSIONS = frozenset({"1.0", "1.1"})
PERSISTENCE = frozenset({"", "close", "keep-alive"})  # the values of the header Connection
UNUSUAL = frozenset({"EXPECT", "TRANSFER_ENCODING", "CONTENT_LENGTH", "UPGRADE"})
NEGOTIATED = "health+json"  # only the views answer with this media type

END = b"\r\n\r\n"
LONGEST_REQUEST = 2048  # bytes of a request that the lane remembers
MOST_REMEMBERED = 64  # requests
LONGEST_RETRY = 30  # seconds

DEEPEST_FILTER = 20
WRAPPED = ("app", "application", "wsgi_app", "_app")  # where WSGI filters keep what they wrap


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """Sends no ``100 Continue`` for a complete request: waitress would wait for a body forever."""

    def received(self, data: bytes) -> int:
        used: int = super().received(data)
        if self.completed:
            self.expect_continue = False
        return used


class RawAnswer(NamedTuple):
    """An answer as the bytes to send, and whether the connection ends with it."""

    data: bytes
    close: bool


class ProbeKey(NamedTuple):
    """The parts of a probe that decide its answer."""

    path: str
    command: str
    version: str
    connection: str


class Lane:
    """Answers probes from a snapshot. Takes no lock and does no I/O.

    :ivar draining: every answer ends its connection
    """

    def __init__(
        self,
        read: Callable[[], Snapshot],
        paths: Iterable[str],
        adj: Any,
        clock: Callable[[], float] = time,
    ) -> None:
        """``read`` returns the current snapshot; ``adj`` are the adjustments of waitress."""
        self.draining = False
        self._read = read
        self._paths = frozenset(paths)
        self._starts = tuple(f"{method} {path} ".encode() for path in paths for method in METHODS)
        self._adj = adj
        # waitress may refuse the headers of a trusted proxy, so odd ones must go to it.
        self._trusts_proxy = bool(adj.trusted_proxy)
        self._clock = clock
        self._remembered: dict[bytes, ProbeKey] = {}
        # Always replaced as a whole: a thread that was overtaken cannot add an outdated answer.
        self._made: tuple[int, Snapshot, dict[tuple[ProbeKey, bool], RawAnswer]] = (0, {}, {})

    def recognise(self, data: bytes) -> RawAnswer | None:
        """Answer bytes that are exactly one plain probe; return ``None`` for all others.

        Parsing costs more than everything else here, and a prober sends the same bytes every time,
        so the lane remembers what it has parsed. To be called on the I/O thread only.
        """
        key = self._remembered.get(data)
        if key is None:
            if (
                len(data) > LONGEST_REQUEST
                or not data.startswith(self._starts)
                or data.find(END) != len(data) - len(END)
            ):
                return None
            request = Parser(self._adj)
            request.received(data)
            key = self._key(request)
            if key is None:
                return None
            if len(self._remembered) >= MOST_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[data] = key
        return self._answer_to(key)

    def answer(self, request: Any) -> RawAnswer | None:
        """Answer a parsed request; return ``None`` if the views have to."""
        key = self._key(request)
        return None if key is None else self._answer_to(key)

    def _key(self, request: Any) -> ProbeKey | None:
        if request.error is not None or request.request_uri not in self._paths:
            return None
        headers: dict[str, str] = request.headers
        connection = headers.get("CONNECTION", "").lower()
        if (
            request.command not in METHODS
            or request.version not in VERSIONS
            or request.body_rcv is not None
            or connection not in PERSISTENCE
            or not UNUSUAL.isdisjoint(headers)
            or NEGOTIATED in headers.get("ACCEPT", "").lower()
            or (self._trusts_proxy and not are_well_formed(headers))
        ):
            return None
        return ProbeKey(request.request_uri, request.command, request.version, connection)

    def _answer_to(self, key: ProbeKey) -> RawAnswer | None:
        try:
            second, answers, made = self._made
            now, current = int(self._clock()), self._read()
            if now != second or current is not answers:
                made = {}
                self._made = (now, current, made)
            found = made.get((key, self.draining))
            if found is None and key.path in current:
                found = made[key, self.draining] = self._build(current[key.path], key, now)
        except Exception:
            # The views may still be able to answer.
            log.exception("the health lane cannot answer; the probe waits for a worker thread")
            return None
        return found

    def _build(self, answer: ProbeAnswer, key: ProbeKey, now: int) -> RawAnswer:
        old = key.version == "1.0"
        close = self.draining or key.connection == "close" or (old and not key.connection)
        headers = [*answer.headers]
        if close:
            headers.append(("Connection", "close"))
        elif old:
            headers.append(("Connection", "Keep-Alive"))
        data = _raw(key, self._adj.ident, answer.status, headers, answer.body, now)
        return RawAnswer(data, close)


def queue_is_full(request: Any, *, ident: str | None, waiting: int, oldest: float) -> RawAnswer:
    """Return a 503 (RFC 9457 problem document) for a parsed request; it ends the connection.

    ``waiting`` requests are queued, the first of them for ``oldest`` seconds.
    """
    retry = max(1, min(LONGEST_RETRY, round(oldest)))
    problem = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": f"Every worker thread is busy and {waiting} requests wait. Try again in {retry} s.",
    }
    headers = [
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
        ("Content-Type", "application/problem+json"),
        ("Retry-After", str(retry)),
    ]
    data = _raw(request, ident, 503, headers, json.dumps(problem).encode(), time())
    return RawAnswer(data, close=True)


def _raw(
    request: Any,
    ident: str | None,
    status: int,
    headers: list[tuple[str, str]],
    body: bytes,
    now: float,
) -> bytes:
    """Return an answer as waitress writes it: its headers sorted by name."""
    headers = [*headers, ("Content-Length", str(len(body))), ("Date", formatdate(now, usegmt=True))]
    if ident:
        headers.append(("Server", ident))
    version = request.version if request.version in VERSIONS else "1.0"
    lines = [f"HTTP/{version} {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in sorted(headers)]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    # A request that cannot be parsed has no command.
    return head if getattr(request, "command", "") == "HEAD" else head + body


def registry_of(app: Any) -> Any | None:
    """Return the Pyramid registry of a WSGI application that has the health add-on, else ``None``.

    An ini file may wrap the application in filters, which are followed to what they wrap.
    """
    for _ in range(DEEPEST_FILTER):
        registry: Any = getattr(app, "registry", None)
        if hasattr(registry, "queryUtility"):
            return registry if registry.queryUtility(IHealthRegistry) is not None else None
        wrapped = (getattr(app, name, None) for name in WRAPPED)
        app = next((inner for inner in wrapped if callable(inner)), None)
    return None


def lane_of(health: HealthRegistry | None, registry: Any, adj: Any) -> Lane:
    """Return the lane of an application.

    The lane takes nothing if the application lacks the add-on or if the server has a URL prefix,
    and it leaves out each path that the application gave to another view.
    """
    paths: list[str] = []
    if health is not None and not adj.url_prefix:
        paths = [health.prefix + path for path in PATHS if _is_ours(registry, health.prefix + path)]

    def read() -> Snapshot:
        return NO_SNAPSHOT if health is None else health.snapshot()

    return Lane(read, paths, adj)


def _is_ours(registry: Any, path: str) -> bool:
    mapper = registry.queryUtility(IRoutesMapper)
    routes = mapper.get_routes() if mapper is not None else []
    first = next((route for route in routes if route.match(path) is not None), None)
    return first is not None and first.factory is HealthContext
