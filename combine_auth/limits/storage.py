"""The storages of the counters for the library ``limits``.

The library's memory storage starts a thread for each burst, which scans all keys every ten milliseconds,
and the number of its keys is not limited. :class:`MemoryStorage` stores at most ``MAX_KEYS``.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from limits.storage import Storage, storage_from_string

MAX_KEYS = 50_000
_REDIS_TIMEOUT_S = 0.5


class MemoryStorage(Storage):
    """A storage of counters in memory, ordered by the start of their windows."""

    STORAGE_SCHEME = None

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        super().__init__()
        self._max_keys = max_keys
        self._lock = threading.Lock()
        # The count and the end of the window (system time in seconds), by key.
        self._counters: dict[str, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._counters)

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Increment the counter. The first increment starts a window of ``expiry`` seconds."""
        now = time.time()
        with self._lock:
            count, end = self._counters.get(key, (0, 0.0))
            if end <= now:
                # Removed first, so that it moves to the end of the order.
                self._counters.pop(key, None)
                self._make_room(now)
                count, end = 0, now + expiry
            self._counters[key] = (count + amount, end)
            return count + amount

    def _make_room(self, now: float) -> None:
        if len(self._counters) < self._max_keys:
            return
        expired = [key for key, (_, end) in self._counters.items() if end <= now]
        # If no counter has expired, delete the oldest tenth, so that the next ones fit without a search.
        for key in expired or list(self._counters)[: max(1, self._max_keys // 10)]:
            del self._counters[key]

    def get(self, key: str) -> int:
        count, end = self._counters.get(key, (0, 0.0))
        return count if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        return self._counters.get(key, (0, 0.0))[1] or time.time()

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        with self._lock:
            count = len(self._counters)
            self._counters.clear()
            return count

    def clear(self, key: str) -> None:
        with self._lock:
            self._counters.pop(key, None)


def make_storage(url: str) -> Storage:
    """Create the storage for a URL. It connects on first use. Raises ConfigurationError of ``limits``."""
    if url.startswith("memory:"):
        return MemoryStorage()
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {
        "socket_timeout": _REDIS_TIMEOUT_S,
        "socket_connect_timeout": _REDIS_TIMEOUT_S,
        # One retry, because the server may have restarted since a pooled connection was opened.
        "retry": Retry(NoBackoff(), 1),
        "key_prefix": "combine:limits",
    }
    storage = storage_from_string(url, **options)
    assert isinstance(storage, Storage)
    return storage
