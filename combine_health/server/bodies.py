"""Limits the bytes of request bodies that the server holds at once.

The server receives each body completely before the application sees it. It keeps a large body in a
file in the temporary folder, which in a container is often in memory too.
"""

import errno
import logging
import tempfile
import threading
import weakref
from contextlib import suppress
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import Error

from combine_health.checks.memory_limit import tightest
from combine_health.engine.log_throttle import ThrottledLog

log = ThrottledLog(logging.getLogger("combine_health"))

SMALL = 64 * 1024  # bytes of a body that are not counted
RETRY = 5  # seconds
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class NoRoomForBody(Error):  # type: ignore[misc]  # waitress has no types
    """The request is rejected because memory or disk have no room for its body. The text says which."""

    code = 503
    reason = "Service Unavailable"


def default_limit() -> int | None:
    """Return a quarter of the memory of the container or the machine, or ``None`` if it is unknown."""
    memory = tightest()
    return None if memory is None else memory.limit // 4


class HeldBodies:
    """A counter of the bytes of all bodies that are received, queued or processed."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        with self._lock:
            if self._limit is not None and self._held + size > self._limit:
                log.warning(
                    "memory is short: the server holds request bodies of %d KiB and rejected a request"
                    " with %d KiB more with 503 (bodies_limit)",
                    self._held // 1024,
                    size // 1024,
                )
                return False
            self._held += size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self._held -= size


class Share:
    """The bytes that one request holds."""

    def __init__(self, bodies: HeldBodies) -> None:
        self._bodies = bodies
        self._size = 0

    def grow(self, size: int) -> bool:
        """Increase the share to ``size`` bytes, and return whether the limit allows it."""
        more = size - self._size
        if more > 0:
            if not self._bodies.take(more):
                return False
            self._size = size
        return True

    def give_back(self) -> None:
        size, self._size = self._size, 0
        if size:
            self._bodies.give_back(size)


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """A parser that sends no ``100 Continue`` for a complete request, which would never get a body.

    A request that exceeds the limit of ``bodies``, or does not fit onto the disk, is complete at once, with
    the error `NoRoomForBody`.
    """

    error: Any
    share: Share | None = None

    def __init__(self, adj: Any, bodies: HeldBodies | None = None) -> None:
        super().__init__(adj)
        self._bodies = bodies

    def received(self, data: bytes) -> int:
        try:
            used: int = super().received(data)
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise
            folder = tempfile.gettempdir()
            log.warning("no room for a request body in %s: %s", folder, error.strerror)
            used = len(data)
            self.error = NoRoomForBody("The disk for request bodies is full.")
            self.completed = True
        size = max(self.content_length, self.body_bytes_received)
        if size > SMALL and self.error is None and not self._hold(size):
            self.error = NoRoomForBody("Other requests use the memory for request bodies.")
            self.completed = True
        if self.completed:
            self.expect_continue = False
        return used

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            # A proxy that trusts the length would send another client's request as the rest of this one.
            raise ParsingError("A request has either Content-Length or Transfer-Encoding.")

    def close(self) -> None:
        # On a full disk, closing the file fails too, because it writes the rest.
        with suppress(OSError):
            super().close()
        if self.share is not None:
            self.share.give_back()

    def _hold(self, size: int) -> bool:
        if self._bodies is None:
            return True
        if self.share is None:
            self.share = Share(self._bodies)
            # waitress does not close a partially received request when its connection ends.
            weakref.finalize(self, self.share.give_back)
        return self.share.grow(size)
