"""Connections that somebody took and does not give back."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable

from combine_core.database.counted_pool import CountedPool, Holder, pools
from combine_core.observe.background import repeat

log = logging.getLogger(__name__)

INTERVAL_S = 5.0


class LeakWatch:
    """Logs each connection that is held for too long, once, with who holds it.

    :param seconds: how long is too long
    :param pools: the pools to look at
    """

    def __init__(self, seconds: float, pools: Callable[[], Iterable[CountedPool]] = pools) -> None:
        self._seconds = seconds
        self._pools = pools
        self._reported: weakref.WeakKeyDictionary[CountedPool, frozenset[Holder]] = (
            weakref.WeakKeyDictionary()
        )

    def look(self) -> None:
        """Look once."""
        for pool in self._pools():
            late = frozenset(one for one in pool.holders() if one.seconds >= self._seconds)
            for holder in late - self._reported.get(pool, frozenset()):
                _warn(holder)
            self._reported[pool] = late


def _warn(holder: Holder) -> None:
    log.warning(
        "possible connection leak: a database connection is held by %s",
        holder,
        extra={
            "route": holder.route,
            "request_id": holder.request_id,
            "duration": round(holder.seconds * 1000, 1),
        },
    )


def start_leak_watch(seconds: float) -> None:
    """Look every few seconds, on a daemon thread; one for the process, however often this is called.

    For processes that serve or work; a command that ends soon needs none.
    """
    repeat("combine-leak-watch", LeakWatch(seconds).look, INTERVAL_S)
