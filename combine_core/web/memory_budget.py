"""Rejects large bodies and texts with 503 while other requests need the remaining memory.

Without this limit, a few large uploads at once make the kernel kill the process at the memory limit of its
container.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from pyramid.config import Configurator
from pyramid.request import Request

from combine_core.observe.memory import Reading, read_memory
from combine_core.web.problems import ProblemError

log = logging.getLogger(__name__)

# Smaller bodies and texts are not counted, because they do not matter.
LARGE = 256 * 1024
# The most memory that each byte of a body or a text takes, measured with JSON that contains an emoji. Python
# then stores every character in four bytes.
COST = 9
# The percentage of the limit that is kept free.
RESERVE = 5
RETRY_S = 5
_BUDGET = "combine_core.web.memory_budget"


class MemoryBudget:
    """The memory that large bodies and texts hold. A single one is allowed even if memory is short."""

    def __init__(self, read: Callable[[], Reading] = read_memory) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._held = 0

    def take(self, size: int) -> None:
        """Reserve ``size`` bytes.

        :raises ProblemError: 503 if other requests need the remaining memory
        """
        with self._lock:
            if self._held:
                reading = self._read()
                left = reading.limit * (100 - RESERVE) // 100 - reading.used
                if (self._held + size) * COST > left:
                    log.warning(
                        "memory is short: rejected a request with %d KiB, because other requests hold"
                        " %d KiB and %d MiB are left (limit of the %s: %d MiB). %s if this happens often",
                        size // 2**10,
                        self._held // 2**10,
                        left // 2**20,
                        reading.of,
                        reading.limit // 2**20,
                        reading.relief,
                    )
                    raise ProblemError(
                        503,
                        f"Too many large requests are in progress. Try again in {RETRY_S} seconds.",
                        kind="memory-short",
                        headers={"Retry-After": str(RETRY_S)},
                    )
            self._held += size

    def give_back(self, size: int) -> None:
        with self._lock:
            self._held -= size


def hold_memory(request: Request, size: int) -> None:
    """Reserve ``size`` bytes until the request ends. See :meth:`MemoryBudget.take`."""
    if size < LARGE:
        return
    budget: MemoryBudget = request.registry[_BUDGET]
    budget.take(size)
    request.add_finished_callback(lambda _request: budget.give_back(size))


def includeme(config: Configurator) -> None:
    """Create the memory budget of the application."""
    config.registry[_BUDGET] = MemoryBudget()
