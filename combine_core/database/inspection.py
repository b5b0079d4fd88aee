"""Queries of the health checks about connections and indexes, and the connection that they use.

PostgreSQL creates no index for a foreign key. Without an index, each deletion in the referenced table and
each query for the referencing rows scans the whole referencing table (PostgreSQL manual, 5.5.5).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

import psycopg2
import psycopg2.extensions
from sqlalchemy import URL

from combine_core.database.connecting import (
    CONNECT_TIMEOUT_S,
    connection_arguments,
    conninfo,
    cut_after,
)
from combine_core.database.metadata import is_ours

Result = TypeVar("Result")

# The application_name of every connection of Combine begins with this.
OURS = "combine "
HEALTH = "combine health"
# While a slow connection attempt continues after its caller's timeout, further callers wait only this long.
_BRIEFLY_S = 0.05

Row = tuple[Any, ...]
Connection = psycopg2.extensions.connection


class ProbeConnection:
    """A connection for small queries, which is kept open and replaced when it breaks.

    It is outside the pool, because the checks must not depend on whether the pool has connections left. No
    call waits longer than its ``seconds``, even if the server or the network does not respond.

    :param url: the URL of the database, with any driver
    :param name: the ``application_name``
    :ivar seconds: the time that the latest query took
    """

    def __init__(self, url: URL, *, name: str = HEALTH) -> None:
        self._url = url
        self._arguments = connection_arguments(url, name, tcp_user_timeout=CONNECT_TIMEOUT_S * 1000)
        self._turn = threading.Lock()
        self._connection: Connection | None = None
        self._connecting: Future[Connection] | None = None
        self._began = 0.0
        self._is_retired = False
        self.seconds = 0.0

    def rows(
        self, statement: str, parameters: dict[str, Any] | None = None, *, seconds: float
    ) -> list[Row]:
        """Run a statement and return its rows. Retry over a new connection if the open one has ended.

        :raises psycopg2.Error: the statement failed or timed out
        """
        deadline = time.monotonic() + seconds
        if not self._turn.acquire(timeout=max(0.0, seconds)):
            raise _too_late(seconds)
        try:
            kept = self._connection
            try:
                return self._run(statement, parameters, deadline)
            except psycopg2.Error:
                is_broken = kept is not None and kept.closed != 0
                if not is_broken or time.monotonic() >= deadline:
                    raise
            # An open connection may have ended although the server works.
            return self._run(statement, parameters, deadline)
        except psycopg2.Error:
            self._close()
            raise
        finally:
            self._turn.release()

    def _run(self, statement: str, parameters: dict[str, Any] | None, deadline: float) -> list[Row]:
        began = time.monotonic()
        connection = self._opened(deadline - began)
        if connection is None:
            raise _too_late(deadline - began)
        began = time.monotonic()
        rows = _rows(connection, statement, parameters, deadline - began)
        self.seconds = time.monotonic() - began
        return rows

    def open(self, seconds: float) -> bool:
        """Open the connection unless it is open. Return ``False`` if it needs longer; then call again.

        :raises psycopg2.Error: the connection cannot be opened
        """
        with self._turn:
            return self._opened(seconds) is not None

    def close(self) -> None:
        """Close the connection. The next query resolves the host again and opens a new connection."""
        with self._turn:
            self._close()

    def retire(self) -> None:
        """Replace the connection before its next query. Does not wait for the current query."""
        self._is_retired = True

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self, seconds: float) -> Connection | None:
        if self._is_retired:
            self._is_retired = False
            self._close()
        if self._connection is None or self._connection.closed:
            if self._connecting is None:
                self._began = time.monotonic()
                self._connecting = in_daemon_thread(self._connect, "database connection")
            left = max(_BRIEFLY_S, self._began + seconds - time.monotonic())
            try:
                self._connection = self._connecting.result(left)
            except NotYet:
                return None
            finally:
                if self._connecting.done():
                    self._connecting = None
        return self._connection

    def _connect(self) -> Connection:
        connection: Connection = psycopg2.connect(conninfo(self._url), **self._arguments)
        connection.autocommit = True
        return connection


def _rows(
    connection: Connection, statement: str, parameters: dict[str, Any] | None, seconds: float
) -> list[Row]:
    """Run a statement and return its rows. Cut the connection after ``seconds`` without a response."""
    with cut_after(connection, seconds) as too_late:
        try:
            with connection.cursor() as cursor:
                # The server stops a statement that its caller has given up on. The limits are local to the
                # transaction, because a pooler may give this connection to another client next.
                ms = max(1000, int(seconds * 1000))
                limits = f"SET LOCAL statement_timeout = {ms}; SET LOCAL lock_timeout = {ms}"
                cursor.execute(f"{limits}; {statement}", parameters)
                return [] if cursor.description is None else cursor.fetchall()
        except psycopg2.Error as error:
            if too_late.is_set():
                raise _too_late(seconds) from error
            raise


def _too_late(seconds: float) -> psycopg2.OperationalError:
    return psycopg2.OperationalError(f"timeout expired: no answer within {seconds:.1f} s")


def in_daemon_thread(work: Callable[[], Result], name: str) -> Future[Result]:
    """Run ``work`` in a thread that does not keep the process alive."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - future.result() raises it again
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


# Without pg_read_all_stats, backend_type is NULL for the sessions of other users.
ROOM = f"""
    SELECT
      current_setting('max_connections')::int,
      current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0),
      (
        SELECT min(most) FROM (
          SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user AND NOT rolsuper
          UNION ALL SELECT datconnlimit FROM pg_database WHERE datname = current_database()
        ) AS limits (most) WHERE most >= 0
      ),
      count(*) FILTER (WHERE NOT is_ours),
      count(*) FILTER (WHERE is_ours AND application_name = '{HEALTH}')
    FROM (
      SELECT application_name,
        datname = current_database() AND application_name LIKE '{OURS}%' AS is_ours
      FROM pg_stat_activity
      WHERE datname IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
    ) AS clients
"""  # noqa: S608 - both are constants


@dataclass(frozen=True, slots=True)
class ConnectionNeeds:
    """The most connections that one process of each kind may hold at once.

    :ivar web: the connections of a web process: pool, overflow and health checks
    :ivar probes: the connections that the health checks keep open
    :ivar worker: the connections of a worker: pool, overflow and Procrastinate
    :ivar worker_inside: whether each web process runs a worker
    """

    web: int
    probes: int
    worker: int
    worker_inside: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionBudget:
    """The connections that all processes may need, and those that the server has.

    :ivar web: the number of web processes, at least this one
    :ivar workers: the number of worker processes
    :ivar limit: the connection limit of the role or the database, if there is one
    :ivar others: the connections that other clients hold now
    """

    needs: ConnectionNeeds
    web: int
    workers: int
    max_connections: int
    reserved: int
    limit: int | None
    others: int

    @classmethod
    def of(
        cls, needs: ConnectionNeeds, room: tuple[int, int, int | None, int, int], workers: int
    ) -> ConnectionBudget:
        """Calculate the budget from the row of `ROOM` and the number of live workers.

        The number of health-check connections gives the number of web processes.
        """
        max_connections, reserved, limit, others, probes = room
        web = max(1, ceil(probes / needs.probes))
        processes = max(0, workers - web) if needs.worker_inside else max(1, workers)
        return cls(needs, web, processes, max_connections, reserved, limit, others)

    @property
    def needed(self) -> int:
        return self.web * self._each + self.workers * self.needs.worker

    @property
    def room(self) -> int:
        """The connections that are available to ordinary users."""
        room = self.max_connections - self.reserved
        return room if self.limit is None else min(room, self.limit)

    @property
    def fits(self) -> bool:
        return self.needed <= self.room

    @property
    def fits_beside_others(self) -> bool:
        return self.needed + self.others <= self.max_connections - self.reserved and self.fits

    @property
    def sentence(self) -> str:
        parts = [f"{self.web} web x {self._each}"]
        parts += [f"{self.workers} worker x {self.needs.worker}"] if self.workers else []
        limits = f"max_connections {self.max_connections}, {self.reserved} of them reserved"
        limits += (
            f"; a limit of {self.limit} for the role or database" if self.limit is not None else ""
        )
        return (
            f"All processes together may need {self.needed} connections ({', '.join(parts)});"
            f" the server has {self.room} for them ({limits}). Other clients hold {self.others} now."
        )

    @property
    def _each(self) -> int:
        inside = self.needs.worker if self.needs.worker_inside else 0
        return self.needs.web + inside


# An index is suitable if it is valid, begins with the columns of the key in any order, covers every row and
# supports equality. The partitions of a table have the indexes of their parent.
WITHOUT_INDEX = """
    SELECT tables.relname::text, keys.conname::text, (
      SELECT array_agg(attname::text ORDER BY position)
      FROM unnest(keys.conkey) WITH ORDINALITY AS columns (number, position)
      JOIN pg_attribute ON attrelid = keys.conrelid AND attnum = columns.number
    )
    FROM pg_constraint AS keys
    JOIN pg_class AS tables ON tables.oid = keys.conrelid
    WHERE keys.contype = 'f' AND keys.conparentid = 0
      AND NOT EXISTS (
        SELECT FROM pg_index AS indexes
        JOIN pg_class AS found ON found.oid = indexes.indexrelid
        JOIN pg_am AS method ON method.oid = found.relam AND method.amname IN ('btree', 'hash')
        WHERE indexes.indrelid = keys.conrelid
          AND indexes.indisvalid AND indexes.indisready AND indexes.indpred IS NULL
          AND indexes.indnkeyatts >= cardinality(keys.conkey)
          AND (indexes.indkey::int2[])[0:cardinality(keys.conkey) - 1] @> keys.conkey
      )
    ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key without an index."""

    table: str
    name: str
    columns: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """The statement that creates the index without locking the table."""
        return f"CREATE INDEX CONCURRENTLY ON {self.table} ({', '.join(self.columns)})"


def without_index(rows: Iterable[tuple[Any, ...]]) -> list[ForeignKey]:
    """Return the foreign keys in the rows of `WITHOUT_INDEX`, except those of Procrastinate's tables."""
    return [
        ForeignKey(table, name, tuple(columns))
        for table, name, columns in rows
        if is_ours(table, "table", None)
    ]
