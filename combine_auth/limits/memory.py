"""Counters in the memory of this process: a storage for the library ``limits``.

The library's own starts a thread for each burst, which looks at all keys every ten milliseconds, and
holds as many keys as anybody cares to send. This one holds ``MOST_KEYS``.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from limits.storage import Storage

MOST_KEYS = 50_000


class BoundedMemory(Storage):
    """Counters that end at a time, in the order in which they began."""

    STORAGE_SCHEME = None

    def __init__(self, most_keys: int = MOST_KEYS) -> None:
        super().__init__()
        self._most_keys = most_keys
        self._lock = threading.Lock()
        # Key: count, and when it ends (seconds of the system's clock).
        self._counters: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._counters)

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What it raises when it fails, which it does not."""
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count; the first count begins a window of ``expiry`` seconds."""
        now = time.time()
        with self._lock:
            count, end = self._counters.get(key, (0, 0.0))
            if end <= now:
                # To the end of the order.
                self._counters.pop(key, None)
                self._make_room(now)
                count, end = 0, now + expiry
            self._counters[key] = (count + amount, end)
            return count + amount

    def _make_room(self, now: float) -> None:
        if len(self._counters) < self._most_keys:
            return
        over = [key for key, (_, end) in self._counters.items() if end <= now]
        # Without one that is over, the oldest are given up; a tenth, so that the next have room.
        for key in over or list(self._counters)[: max(1, self._most_keys // 10)]:
            del self._counters[key]

    def get(self, key: str) -> int:
        """The count now."""
        count, end = self._counters.get(key, (0, 0.0))
        return count if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When its window ends, in seconds of the system's clock."""
        return self._counters.get(key, (0, 0.0))[1] or time.time()

    def check(self) -> bool:
        """Whether it works."""
        return True

    def reset(self) -> int | None:
        """Forget all; returns how many."""
        with self._lock:
            count = len(self._counters)
            self._counters.clear()
            return count

    def clear(self, key: str) -> None:
        """Forget one."""
        with self._lock:
            self._counters.pop(key, None)

    def __reduce__(self) -> Any:
        raise TypeError("counters in memory stay in their process")
