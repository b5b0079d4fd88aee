"""What the health checks ask PostgreSQL: over a connection of their own, about connections and indexes.

PostgreSQL makes no index for a foreign key. Without one, each deletion in the referenced table and each
query for the rows that reference it reads the other table from end to end (its manual, 5.5.5).
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

Answer = TypeVar("Answer")

# The application_name of all our connections begins with this.
OURS = "combine "
HEALTH = "combine health"
# While a connection is being made for longer than its caller has time, further callers only look.
_BRIEFLY_S = 0.05

Row = tuple[Any, ...]
Connection = psycopg2.extensions.connection


class ProbeConnection:
    """One connection for small queries, kept open and replaced when it breaks.

    It is outside the pool, because the checks must not depend on whether the pool has connections left. No
    call waits longer than its ``seconds``, even if the server or the network says nothing at all.

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
        """The rows of ``statement``. Asks again over a new connection if the kept one has ended.

        :raises psycopg2.Error: it failed, or there is no answer in time
        """
        deadline = time.monotonic() + seconds
        if not self._turn.acquire(timeout=max(0.0, seconds)):
            raise _too_late(seconds)
        try:
            kept = self._connection
            try:
                return self._ask(statement, parameters, deadline)
            except psycopg2.Error:
                is_broken = kept is not None and kept.closed != 0
                if not is_broken or time.monotonic() >= deadline:
                    raise
            # A kept connection may have ended although the server works.
            return self._ask(statement, parameters, deadline)
        except psycopg2.Error:
            self._close()
            raise
        finally:
            self._turn.release()

    def _ask(self, statement: str, parameters: dict[str, Any] | None, deadline: float) -> list[Row]:
        began = time.monotonic()
        connection = self._opened(deadline - began)
        if connection is None:
            raise _too_late(deadline - began)
        began = time.monotonic()
        rows = _rows(connection, statement, parameters, deadline - began)
        self.seconds = time.monotonic() - began
        return rows

    def open(self, seconds: float) -> bool:
        """Open the connection unless it is open. ``False``: it needs longer, so call again.

        :raises psycopg2.Error: it cannot be opened
        """
        with self._turn:
            return self._opened(seconds) is not None

    def close(self) -> None:
        """Close the connection. The next query opens a new one, to the address that the host has then."""
        with self._turn:
            self._close()

    def retire(self) -> None:
        """Replace the connection before its next query. Does not wait for the current one."""
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
    """The rows of ``statement``. After ``seconds`` without an answer the connection is cut."""
    with cut_after(connection, seconds) as too_late:
        try:
            with connection.cursor() as cursor:
                # So that the server does not go on with what nobody waits for any more. For this statement
                # alone: behind a pooler, the next one on this connection may be somebody else's.
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


def in_daemon_thread(work: Callable[[], Answer], name: str) -> Future[Answer]:
    """Run ``work`` in a thread that does not keep the process alive."""
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is taken
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

    :ivar web: a web process: pool, overflow and the health checks' own
    :ivar probes: the connections that the health checks keep open
    :ivar worker: a worker: pool, overflow and Procrastinate's own
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
    :ivar limit: the connection limit of our role or our database, if there is one
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
        """The budget from the row of `ROOM` and the number of live workers.

        The connections of the health checks tell the number of web processes.
        """
        max_connections, reserved, limit, others, probes = room
        web = max(1, ceil(probes / needs.probes))
        processes = max(0, workers - web) if needs.worker_inside else max(1, workers)
        return cls(needs, web, processes, max_connections, reserved, limit, others)

    @property
    def needed(self) -> int:
        """The connections of all processes together."""
        return self.web * self._each + self.workers * self.needs.worker

    @property
    def room(self) -> int:
        """The connections that the server gives to ordinary users."""
        room = self.max_connections - self.reserved
        return room if self.limit is None else min(room, self.limit)

    @property
    def fits(self) -> bool:
        """Whether the server has the connections that we need."""
        return self.needed <= self.room

    @property
    def fits_beside_others(self) -> bool:
        """Whether it has them in addition to those that other clients hold now."""
        return self.needed + self.others <= self.max_connections - self.reserved and self.fits

    @property
    def sentence(self) -> str:
        """The calculation in one sentence."""
        parts = [f"{self.web} web x {self._each}"]
        parts += [f"{self.workers} worker x {self.needs.worker}"] if self.workers else []
        limits = f"max_connections {self.max_connections}, {self.reserved} of them reserved"
        limits += (
            f"; a limit of {self.limit} for our role or database" if self.limit is not None else ""
        )
        return (
            f"All processes together may need {self.needed} connections ({', '.join(parts)});"
            f" the server has {self.room} for them ({limits}). Other clients hold {self.others} now."
        )

    @property
    def _each(self) -> int:
        inside = self.needs.worker if self.needs.worker_inside else 0
        return self.needs.web + inside


# An index is suitable if it begins with the columns of the key, in any order, covers every row, is valid,
# and supports equality. The partitions of a table have the indexes of their parent.
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
    """The rows of `WITHOUT_INDEX`, without those of Procrastinate's tables, which it looks after itself."""
    return [
        ForeignKey(table, name, tuple(columns))
        for table, name, columns in rows
        if is_ours(table, "table", None)
    ]
