"""A connection of its own for health checks, kept outside the pool."""

from __future__ import annotations

import threading
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy import URL

from combine_core.database.budget import HEALTH

CONNECT_TIMEOUT_S = 2


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
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=HEALTH,
            options=f"-c statement_timeout={self._timeout_ms} -c lock_timeout={self._timeout_ms}",
            tcp_user_timeout=self._timeout_ms,
        )
        connection.autocommit = True
        return connection
