"""A connection pool that counts waiting callers, records the holder of each connection, and reports leaks.

It also closes connections to a read-only server. After a failover, the old primary may come back as a
standby, and connections to it would serve every read and reject every write.
"""

from __future__ import annotations

import logging
import math
import select
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import psycopg2
from sqlalchemy import Engine, ExceptionContext, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool

from combine_core.database.connecting import CONNECT_TIMEOUT_S, cut_after
from combine_core.observe.background import repeat
from combine_core.observe.context import current_work

log = logging.getLogger(__name__)

# The most holders that a log line names.
_NAMED = 5
LEAK_INTERVAL_S = 5.0


@dataclass(frozen=True)
class PoolReading:
    """The state of the pool.

    :ivar checked_out: connections in use
    :ivar idle: open connections that are not in use
    :ivar waiting: callers that wait for a connection
    :ivar oldest_seconds: the longest time that a connection has been in use
    """

    checked_out: int
    idle: int
    waiting: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Holder:
    """The route, request and thread that use a connection.

    :ivar since: the time of checkout, in ``time.monotonic()`` seconds
    """

    since: float
    route: str | None
    request_id: str | None
    thread: str

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since

    def __str__(self) -> str:
        return (
            f"route {self.route or '-'} (request {self.request_id or '-'}, thread {self.thread})"
            f" for {self.seconds:.1f} s"
        )


class CountedPool(QueuePool):
    """SQLAlchemy's pool, with counts that are cheap to read."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._counting = threading.Lock()
        self._waiting = 0
        self._held: dict[ConnectionPoolEntry, Holder] = {}
        with _listing:
            _pools.add(self)

    def connect(self) -> PoolProxiedConnection:
        """Check out a connection. If none becomes free in time, log the holders of all connections."""
        try:
            return super().connect()
        except PoolTimeout:
            holders = self.holders()
            log.warning(
                "pool timeout: no database connection came free within %g s; all %d are out,"
                " the longest held by %s",
                self.timeout(),
                len(holders),
                "; ".join(map(str, holders[:_NAMED])) or "a caller that has just returned it",
            )
            raise

    def _do_get(self) -> ConnectionPoolEntry:
        with self._counting:
            self._waiting += 1
        try:
            record = super()._do_get()
        finally:
            with self._counting:
                self._waiting -= 1
        work = current_work()
        thread = threading.current_thread().name
        holder = (
            Holder(time.monotonic(), None, None, thread)
            if work is None
            else Holder(time.monotonic(), work.route, work.request_id, thread)
        )
        with self._counting:
            self._held[record] = holder
        return record

    def _create_connection(self) -> ConnectionPoolEntry:
        # This caller waits for the server, not for another caller.
        with self._counting:
            self._waiting -= 1
        try:
            return super()._create_connection()
        finally:
            with self._counting:
                self._waiting += 1

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        # Before the connection is returned, because another thread may take it at once.
        with self._counting:
            self._held.pop(record, None)
        super()._do_return_conn(record)

    def holders(self) -> list[Holder]:
        """Return the holders of the connections in use, the longest first."""
        with self._counting:
            return sorted(self._held.values(), key=lambda holder: holder.since)

    def reading(self) -> PoolReading:
        with self._counting:
            oldest = min((holder.since for holder in self._held.values()), default=None)
            waiting = self._waiting
        return PoolReading(
            checked_out=self.checkedout(),
            idle=self.checkedin(),
            waiting=waiting,
            oldest_seconds=0.0 if oldest is None else round(time.monotonic() - oldest, 1),
        )


_READ_ONLY = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool"
_READ_ONLY_SQLSTATE = "25006"
_NEW = "combine_core.new"
# The key of the time of a connection's last test, in `time.monotonic()` seconds.
_TESTED = "combine_core.tested"
TEST_INTERVAL_S = 1.0


def leave_read_only_servers(engine: Engine) -> None:
    """Reuse a connection of `engine` only while it works and its server accepts writes.

    Each connection is tested when it is checked out. A connection that fails the test is closed, as are all
    others of the pool at their next checkout, and a new connection takes its place. The new connection is not
    tested, because reads still work on a standby. A connection is also closed when the server rejects a write
    as read-only.

    The test queries the server. It is skipped for a connection that passed it within the last second, unless
    data has arrived on the connection since: a server that shuts down sends a message or closes the stream.
    """

    @event.listens_for(engine, "connect")
    def note_new(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_NEW] = True

    @event.listens_for(engine, "checkout")
    def test_kept(connection: Any, record: ConnectionPoolEntry, *_: Any) -> None:
        if record.info.pop(_NEW, False):
            return
        now = time.monotonic()
        if now - record.info.get(_TESTED, -math.inf) < TEST_INTERVAL_S and is_silent(connection):
            return
        try:
            # Without autocommit, the query would begin a transaction, whose end costs another round trip.
            connection.autocommit = True
            # An open connection may be dead without notice, for example after an address has moved.
            with cut_after(connection, CONNECT_TIMEOUT_S), connection.cursor() as cursor:
                cursor.execute(_READ_ONLY)
                ((is_read_only,),) = cursor.fetchall()
            connection.autocommit = False
        except psycopg2.Error as error:
            raise InvalidatePoolError("the connection is broken") from error
        if is_read_only:
            raise InvalidatePoolError("the server is read-only")
        record.info[_TESTED] = now

    @event.listens_for(engine, "handle_error")
    def close_read_only(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "pgcode", None) == _READ_ONLY_SQLSTATE:
            context.is_disconnect = True


def is_silent(connection: Any) -> bool:
    """Check that no data and no end of stream has arrived on an idle connection."""
    arrived = select.poll()
    arrived.register(connection.fileno(), select.POLLIN)
    return not arrived.poll(0)


# The pools of this process whose engines are alive.
_pools: weakref.WeakSet[CountedPool] = weakref.WeakSet()
_listing = threading.Lock()


def pools() -> Iterable[CountedPool]:
    with _listing:
        return list(_pools)


def open_connections() -> int:
    """Return the number of open database connections in the pools of this process."""
    return sum(pool.checkedout() + pool.checkedin() for pool in pools())


class LeakWatch:
    """A watch that logs each connection that is held for too long, once, with its holder.

    :param seconds: the limit after which a connection counts as leaked
    :param pools: returns the pools to watch
    """

    def __init__(self, seconds: float, pools: Callable[[], Iterable[CountedPool]] = pools) -> None:
        self._seconds = seconds
        self._pools = pools
        self._reported: weakref.WeakKeyDictionary[CountedPool, frozenset[Holder]] = (
            weakref.WeakKeyDictionary()
        )

    def check(self) -> None:
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
    """Check the pools every few seconds in a daemon thread. Further calls in this process do nothing.

    Services and workers need this. A command that ends soon does not.
    """
    repeat("combine-leak-watch", LeakWatch(seconds).check, LEAK_INTERVAL_S)
