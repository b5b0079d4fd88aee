"""Answers probes on the server's I/O thread (the health lane), without a worker thread.

The lane answers common probes: ``GET`` or ``HEAD`` of a probe's path, without a body. The views
answer all other requests, with the same responses.
"""

import json
import logging
from collections.abc import Callable, Sequence
from email.utils import formatdate
from http import HTTPStatus
from time import time
from typing import Any, NamedTuple

from combine_health.endpoints.probe_request import ProbeRequest
from combine_health.engine.log_throttle import ThrottledLog
from combine_health.engine.probes import ProbeAnswer
from combine_health.server.bodies import Parser
from combine_health.server.mounts import Mount
from combine_health.server.proxies import are_well_formed

log = ThrottledLog(logging.getLogger("combine_health"))

METHODS = frozenset({"GET", "HEAD"})
VERSIONS = frozenset({"1.0", "1.1"})
PERSISTENCE = frozenset({"", "close", "keep-alive"})  # the values of the header Connection
UNUSUAL = frozenset({"EXPECT", "TRANSFER_ENCODING", "UPGRADE"})

END = b"\r\n\r\n"
LONGEST_REQUEST = 2048  # bytes of a request that the lane caches
MOST_REMEMBERED = 64  # cached requests, and cached answers


class RawAnswer(NamedTuple):
    """The bytes of a response, and whether it closes the connection."""

    data: bytes
    close: bool


class ProbeKey(NamedTuple):
    """The parts of a request that determine the response."""

    mount: Mount
    probe: ProbeRequest
    command: str
    version: str
    connection: str


class _CachedAnswer(NamedTuple):
    """An answer with the second and the snapshot for which it is valid."""

    second: int
    snapshot: object
    answer: RawAnswer


class Lane:
    """The health lane, which answers probes from snapshots. It takes no lock and does no I/O.

    :ivar draining: every answer closes its connection
    """

    def __init__(
        self, mounts: Sequence[Mount], adj: Any, clock: Callable[[], float] = time
    ) -> None:
        """Take ``mounts`` from `mounts_of`, and the adjustments ``adj`` of waitress."""
        self.draining = False
        self._mounts = mounts
        self._starts = tuple(
            f"{method} {mount.prefix}/health".encode() for mount in mounts for method in METHODS
        )
        self._adj = adj
        # waitress may reject headers of a trusted proxy, so it must handle unusual ones.
        self._trusts_proxy = bool(adj.trusted_proxy)
        self._clock = clock
        self._keys: dict[bytes, ProbeKey] = {}
        self._answers: dict[tuple[ProbeKey, bool], _CachedAnswer] = {}

    def recognise(self, data: bytes) -> RawAnswer | None:
        """Answer bytes that are exactly one probe, or return ``None``.

        Parsing is the most expensive part, and a prober always sends the same bytes, so the lane caches
        parsed requests. Call it only on the I/O thread.
        """
        key = self._keys.get(data)
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
            if len(self._keys) >= MOST_REMEMBERED:
                del self._keys[next(iter(self._keys))]
            self._keys[data] = key
        return self._answer_to(key)

    def answer(self, request: Any) -> RawAnswer | None:
        """Answer a parsed request, or return ``None`` if the views must answer it."""
        key = self._key(request)
        return None if key is None else self._answer_to(key)

    def _key(self, request: Any) -> ProbeKey | None:
        if request.error is not None or not request.completed:
            return None
        headers: dict[str, str] = request.headers
        connection = headers.get("CONNECTION", "").lower()
        if (
            request.command not in METHODS
            or request.version not in VERSIONS
            or request.body_rcv is not None
            or connection not in PERSISTENCE
            or not UNUSUAL.isdisjoint(headers)
            or (self._trusts_proxy and not are_well_formed(headers))
        ):
            return None
        uri: str = request.request_uri
        path = uri.partition("?")[0]
        for mount in self._mounts:
            if path.startswith(f"{mount.path}/"):
                probe = mount.parse_probe(uri[len(mount.path) :], headers.get("ACCEPT", ""))
                if probe is None:
                    return None
                return ProbeKey(mount, probe, request.command, request.version, connection)
        return None

    def _answer_to(self, key: ProbeKey) -> RawAnswer | None:
        try:
            snapshot = key.mount.snapshot()
            if snapshot is None:
                return None
            now, cached = int(self._clock()), self._answers.get((key, self.draining))
            if cached is not None and cached.second == now and cached.snapshot is snapshot:
                return cached.answer
            answer = key.mount.answer(key.probe, snapshot)
            if answer is None:
                return None
            if len(self._answers) >= MOST_REMEMBERED:
                self._answers.clear()
            raw = self._build(answer, key, now)
            self._answers[key, self.draining] = _CachedAnswer(now, snapshot, raw)
        except Exception:
            # The views may still be able to respond.
            log.exception("the health lane cannot answer; the probe waits for a worker thread")
            return None
        return raw

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


def refusal(request: Any, reason: str, *, ident: str | None, retry: int) -> RawAnswer:
    """Return a 503 (RFC 9457 problem document) for a parsed request. It closes the connection."""
    problem = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": f"{reason} Try again in {retry} s.",
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
    """Return a response in the format of waitress, with the headers sorted by name."""
    headers = [*headers, ("Content-Length", str(len(body))), ("Date", formatdate(now, usegmt=True))]
    if ident:
        headers.append(("Server", ident))
    version = request.version if request.version in VERSIONS else "1.0"
    lines = [f"HTTP/{version} {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in sorted(headers)]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    # A request that cannot be parsed has no command.
    return head if getattr(request, "command", "") == "HEAD" else head + body
