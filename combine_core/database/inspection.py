"""What the health checks ask PostgreSQL: over a connection of their own, about connections and indexes.

PostgreSQL makes no index for a foreign key. Without one, each deletion in the referenced table and each
query for the rows that reference it reads the other table from end to end (its manual, 5.5.5).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy import URL

from combine_core.database.migrations import is_ours

# What we call ourselves (application_name) begins with this.
OURS = "combine "
HEALTH = "combine health"
PROBE_CONNECT_TIMEOUT_S = 2


class ProbeConnection:
    """Asks small questions over one connection that is kept, and made anew when it broke.

    Outside the pool, so that it tells whether the database is there and not whether the application has
    used its connections up.

    :param url: of the database; the driver's name in it does not matter
    :param timeout_ms: of a statement; shorter than a check's deadline, so that no thread is left waiting
    """

    def __init__(self, url: URL, *, timeout_ms: int = 900) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._timeout_ms = timeout_ms
        self._lock = threading.Lock()
        self._connection: psycopg2.extensions.connection | None = None

    def rows(
        self, statement: str, parameters: dict[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """The rows of ``statement``; raises :class:`psycopg2.Error`."""
        with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                with self._connection.cursor() as cursor:
                    cursor.execute(statement, parameters)
                    return cursor.fetchall()
            except psycopg2.Error:
                self.close()
                raise

    def close(self) -> None:
        """Give the connection up; the next question makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> psycopg2.extensions.connection:
        connection = psycopg2.connect(
            self._dsn,
            connect_timeout=PROBE_CONNECT_TIMEOUT_S,
            application_name=HEALTH,
            options=f"-c statement_timeout={self._timeout_ms} -c lock_timeout={self._timeout_ms}",
            tcp_user_timeout=self._timeout_ms,
        )
        connection.autocommit = True
        return connection


# Who may not see more of other users' sessions (no pg_read_all_stats) sees no backend_type.
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
"""  # noqa: S608 - both are our own words


@dataclass(frozen=True, slots=True)
class Appetite:
    """How many connections one process of each kind may hold at once.

    :ivar web: pool, overflow and the health checks' own
    :ivar probes: these alone
    :ivar worker: pool, overflow and Procrastinate's own
    :ivar works_inside: whether each web process has a worker inside
    """

    web: int
    probes: int
    worker: int
    works_inside: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """The connections that may be needed, and those that there are.

    :ivar web: web processes, whoever asks included
    :ivar workers: worker processes
    :ivar limit: of our role or our database, where there is one
    :ivar others: connections that other clients hold now
    """

    appetite: Appetite
    web: int
    workers: int
    max_connections: int
    reserved: int
    limit: int | None
    others: int

    @classmethod
    def of(
        cls, appetite: Appetite, room: tuple[int, int, int | None, int, int], workers: int
    ) -> Budget:
        """From what `ROOM` answers, and the number of workers that are alive.

        Web processes are counted by the connections of their health checks.
        """
        max_connections, reserved, limit, others, probes = room
        web = max(1, ceil(probes / appetite.probes))
        processes = max(0, workers - web) if appetite.works_inside else max(1, workers)
        return cls(appetite, web, processes, max_connections, reserved, limit, others)

    @property
    def needed(self) -> int:
        """All connections of all processes."""
        return self.web * self._each + self.workers * self.appetite.worker

    @property
    def room(self) -> int:
        """What ordinary users can get."""
        room = self.max_connections - self.reserved
        return room if self.limit is None else min(room, self.limit)

    @property
    def fits(self) -> bool:
        """Whether there is room for all of ours."""
        return self.needed <= self.room

    @property
    def fits_beside_others(self) -> bool:
        """Whether there is, while others hold what they hold now."""
        return self.needed + self.others <= self.max_connections - self.reserved and self.fits

    @property
    def sentence(self) -> str:
        """The sum, for people."""
        parts = [f"{self.web} web x {self._each}"]
        parts += [f"{self.workers} worker x {self.appetite.worker}"] if self.workers else []
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
        inside = self.appetite.worker if self.appetite.works_inside else 0
        return self.appetite.web + inside


# An index serves if it leads with the columns of the key, in any order, holds every row, is complete,
# and can look for equality. The children of a partitioned table have what their parent has.
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
    """A foreign key: its table, its name and its columns."""

    table: str
    name: str
    columns: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """The statement that makes the index, without stopping anybody's work."""
        return f"CREATE INDEX CONCURRENTLY ON {self.table} ({', '.join(self.columns)})"


def without_index(rows: Iterable[tuple[Any, ...]]) -> list[ForeignKey]:
    """What `WITHOUT_INDEX` has answered, but for Procrastinate's own tables: its indexes are its own."""
    return [
        ForeignKey(table, name, tuple(columns))
        for table, name, columns in rows
        if is_ours(table, "table", None)
    ]
