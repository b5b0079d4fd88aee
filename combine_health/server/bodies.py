"""Bounds the request bodies that the server holds at once.

The server receives each body completely before the application sees it. A large one is in a file of
the temporary folder, which in a container is often memory, too.
"""

import logging
import threading
import weakref
from typing import Any

from waitress.parser import HTTPRequestParser
from waitress.utilities import Error

from combine_health.checks.memory_limit import tightest
from combine_health.engine.log_throttle import ThrottledLog

log = ThrottledLog(logging.getLogger("combine_health"))

SMALL = 64 * 1024  # bytes of a body that are not counted
RETRY = 5  # seconds


class TooManyBodies(Error):  # type: ignore[misc]  # waitress has no types
    """The request is refused, because other requests hold too many bytes."""

    code = 503
    reason = "Service Unavailable"


def default_limit() -> int | None:
    """A quarter of the memory of the container or the machine; ``None`` if it is not known."""
    memory = tightest()
    return None if memory is None else memory.limit // 4


class HeldBodies:
    """Counts the bytes of the bodies that are being received, waiting, or in work."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        with self._lock:
            if self._limit is not None and self._held + size > self._limit:
                log.warning(
                    "memory is short: request bodies of %d KiB are held, and one with %d KiB more was"
                    " refused with 503 (bodies_limit)",
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
    """The bytes that one request has taken."""

    def __init__(self, bodies: HeldBodies) -> None:
        self._bodies = bodies
        self._size = 0

    def grow(self, size: int) -> bool:
        """Take the difference to ``size``; return whether that was possible."""
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
    """Sends no ``100 Continue`` for a complete request: waitress would wait for a body forever.

    With ``bodies``, a request beyond their limit is complete at once, with the error `TooManyBodies`.
    """

    error: Any
    share: Share | None = None

    def __init__(self, adj: Any, bodies: HeldBodies | None = None) -> None:
        super().__init__(adj)
        self._bodies = bodies

    def received(self, data: bytes) -> int:
        used: int = super().received(data)
        size = max(self.content_length, self.body_bytes_received)
        if size > SMALL and self.error is None and not self._hold(size):
            self.error = TooManyBodies("")
            self.completed = True
        if self.completed:
            self.expect_continue = False
        return used

    def close(self) -> None:
        super().close()
        if self.share is not None:
            self.share.give_back()

    def _hold(self, size: int) -> bool:
        if self._bodies is None:
            return True
        if self.share is None:
            self.share = Share(self._bodies)
            # waitress does not close a request that is half received when its connection ends.
            weakref.finalize(self, self.share.give_back)
        return self.share.grow(size)
