"""A connection pool that knows who waits for it, and since when its connections are out."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.pool import QueuePool


@dataclass(frozen=True)
class PoolReading:
    """How the pool stands: connections out, connections lying ready, callers that wait, seconds."""

    checked_out: int
    idle: int
    waiting: int
    oldest_seconds: float


class CountedPool(QueuePool):
    """SQLAlchemy's pool, with counts that cost nothing to read."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._counting = threading.Lock()
        self._waiting = 0
        self._out_since: dict[int, float] = {}
        event.listen(self, "checkout", self._note_checkout)
        event.listen(self, "checkin", self._note_checkin)

    def _do_get(self) -> Any:
        with self._counting:
            self._waiting += 1
        try:
            return super()._do_get()
        finally:
            with self._counting:
                self._waiting -= 1

    def _note_checkout(self, _connection: Any, record: Any, _proxy: Any) -> None:
        with self._counting:
            self._out_since[id(record)] = time.monotonic()

    def _note_checkin(self, _connection: Any, record: Any) -> None:
        with self._counting:
            self._out_since.pop(id(record), None)

    def reading(self) -> PoolReading:
        """The counts at this moment."""
        with self._counting:
            oldest = min(self._out_since.values(), default=None)
            waiting = self._waiting
        return PoolReading(
            checked_out=self.checkedout(),
            idle=self.checkedin(),
            waiting=waiting,
            oldest_seconds=0.0 if oldest is None else round(time.monotonic() - oldest, 1),
        )
