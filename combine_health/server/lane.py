"""The health lane: which requests are answered before a worker thread sees them, and with what.

It takes the plain probe: ``GET`` or ``HEAD`` of a probe's very path, without query or body. Whatever
is unusual about a request sends it the ordinary way, where the views give the same answer.
"""

import logging
from collections.abc import Callable, Iterable
from email.utils import formatdate
from http import HTTPStatus
from time import time
from typing import Any, NamedTuple

from combine_health.endpoints.views import HealthContext
from combine_health.engine.log_throttle import Quiet
from combine_health.engine.registry import HealthRegistry
from combine_health.engine.report import Answer
from combine_health.engine.snapshot import NOTHING, Snapshot, snapshot
from combine_health.server.forwarded import is_well_formed

log = Quiet(logging.getLogger("combine_health"))

PATHS = ("/health", "/health/ready", "/health/startup")

METHODS = frozenset({"GET", "HEAD"})
VERSIONS = frozenset({"1.0", "1.1"})
PERSISTENCE = frozenset({"", "close", "keep-alive"})  # the values of the header Connection
UNUSUAL = frozenset({"EXPECT", "TRANSFER_ENCODING", "CONTENT_LENGTH", "UPGRADE"})
NEGOTIATED = "health+json"  # the views know this type, the lane does not

END = b"\r\n\r\n"
LONGEST = 2048  # bytes of a request that is remembered
MOST_KNOWN = 64


class Ready(NamedTuple):
    """An answer as it goes over the wire, and whether the connection ends with it."""

    data: bytes
    close: bool


class Key(NamedTuple):
    """What of a probe decides its answer."""

    path: str
    command: str
    version: str
    connection: str


class Lane:
    """Answers probes from what `snapshot` holds; takes no lock, does no I/O.

    :ivar draining: say with every answer that the connection ends
    """

    def __init__(
        self,
        read: Callable[[], Snapshot],
        paths: Iterable[str],
        parse: Callable[[bytes], Any],
        *,
        ident: str | None,
        trusts_proxy: bool,
        clock: Callable[[], float] = time,
    ) -> None:
        """``parse`` makes a request of waitress of some bytes; ``ident`` is what the header Server
        says. A server that ``trusts_proxy`` judges the headers of proxies, and may refuse them:
        those that are not plain go the ordinary way.
        """
        self.draining = False
        self._read = read
        self._paths = frozenset(paths)
        self._starts = tuple(f"{method} {path} ".encode() for path in paths for method in METHODS)
        self._parse = parse
        self._known: dict[bytes, Key] = {}
        self._ident = ident
        self._trusts_proxy = trusts_proxy
        self._clock = clock
        # Replaced whole, so that a thread that was overtaken cannot put an old answer into it.
        self._made: tuple[int, Snapshot, dict[tuple[Key, bool], Ready]] = (0, {}, {})

    def recognise(self, data: bytes) -> Ready | None:
        """The answer to bytes that are one whole probe; ``None`` for whatever else they are.

        Parsing takes longer than all the rest, and probes come in the same bytes again and again:
        those are known. On the I/O thread only.
        """
        key = self._known.get(data)
        if key is None:
            if (
                len(data) > LONGEST
                or not data.startswith(self._starts)
                or data.find(END) != len(data) - len(END)
            ):
                return None
            key = self._key(self._parse(data))
            if key is None:
                return None
            if len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[data] = key
        return self._ready(key)

    def answer(self, request: Any) -> Ready | None:
        """The answer to a request that waitress has parsed; ``None`` sends it the ordinary way."""
        key = self._key(request)
        return None if key is None else self._ready(key)

    def _key(self, request: Any) -> Key | None:
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
            or (self._trusts_proxy and not is_well_formed(headers))
        ):
            return None
        return Key(request.request_uri, request.command, request.version, connection)

    def _ready(self, key: Key) -> Ready | None:
        try:
            second, answers, ready = self._made
            now, current = int(self._clock()), self._read()
            if now != second or current is not answers:
                ready = {}
                self._made = (now, current, ready)
            found = ready.get((key, self.draining))
            if found is None and key.path in current:
                found = ready[key, self.draining] = self._build(current[key.path], key, now)
        except Exception:
            # The views may do better.
            log.exception("the health lane cannot answer; the probe waits for a worker thread")
            return None
        return found

    def _build(self, answer: Answer, key: Key, now: int) -> Ready:
        old = key.version == "1.0"
        close = self.draining or key.connection == "close" or (old and not key.connection)
        headers = [
            *answer.headers,
            ("Content-Length", str(len(answer.body))),
            ("Date", formatdate(now, usegmt=True)),
        ]
        if close:
            headers.append(("Connection", "close"))
        elif old:
            headers.append(("Connection", "Keep-Alive"))
        if self._ident:
            headers.append(("Server", self._ident))
        body = b"" if key.command == "HEAD" else answer.body
        return Ready(head(key.version, answer.status, headers) + body, close)


def head(version: str, status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """Status line and headers as waitress writes them: sorted by name."""
    lines = [f"HTTP/{version} {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in sorted(headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def lane_of(
    health: HealthRegistry | None, registry: Any, adj: Any, parse: Callable[[bytes], Any]
) -> Lane:
    """The lane of an application; one that takes nothing where only Pyramid can answer.

    That is: without the add-on, below a prefix of the server, and for each path that the
    application gave to another view. ``adj`` are waitress' adjustments.
    """
    paths: list[str] = []
    if health is not None and not adj.url_prefix:
        paths = [health.prefix + path for path in PATHS if _is_ours(registry, health.prefix + path)]

    def read() -> Snapshot:
        return NOTHING if health is None else snapshot(health)

    return Lane(read, paths, parse, ident=adj.ident, trusts_proxy=bool(adj.trusted_proxy))


def _is_ours(registry: Any, path: str) -> bool:
    from pyramid.interfaces import IRoutesMapper

    mapper = registry.queryUtility(IRoutesMapper)
    routes = mapper.get_routes() if mapper is not None else []
    first = next((route for route in routes if route.match(path) is not None), None)
    return first is not None and first.factory is HealthContext
