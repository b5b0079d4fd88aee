"""Lets only one process migrate at a time, and reports the sessions that a migration waits for.

A waiting migrator polls for the lock instead of waiting in the server. A statement that waits there keeps a
snapshot, and the first migrator's CREATE INDEX CONCURRENTLY would wait for that snapshot in turn.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from combine_core.database.connecting import (
    SET_DIRECT_URL,
    connection_arguments,
    shares_connections,
)

log = logging.getLogger(__name__)

# An arbitrary number that is the same in every process of Combine.
ADVISORY_LOCK = 0x636F6D62696E65
# The longest wait for a table that is in use. All later requests for the table queue up during the wait.
LOCK_TIMEOUT_S = 10.0
_POLL_INTERVAL_S = 0.5
_LOG_INTERVAL_S = 30.0
_LOCK_NOT_AVAILABLE = "55P03"

_SESSIONS = """
    SELECT pid, coalesce(application_name, ''), coalesce(state, ''),
      coalesce(extract(epoch FROM now() - query_start), 0)::float
    FROM pg_stat_activity WHERE pid = ANY({pids})
"""
# The two halves of the number, as pg_locks shows them.
_HOLDER = text(
    _SESSIONS.format(
        pids="""ARRAY(
          SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid::bigint = :key >> 32 AND objid::bigint = :key & 4294967295
        )"""
    )
)
_BLOCKERS = text(_SESSIONS.format(pids="pg_blocking_pids(:pid)"))


@dataclass(frozen=True, slots=True)
class Session:
    """Another session in the database.

    :ivar query_s: the age of its current or last query
    """

    pid: int
    application: str
    state: str
    query_s: float

    def __str__(self) -> str:
        name = self.application or "unnamed"
        return f"{name} (pid {self.pid}, {self.state or 'state unknown'}, query {self.query_s:.0f} s old)"


def migration_engine(url: str) -> Engine:
    """Return an engine for migrations.

    :param url: of PostgreSQL itself, or of a pooler that keeps sessions
    """
    arguments = connection_arguments(make_url(url), "combine migrate")
    return create_engine(url, poolclass=NullPool, connect_args=arguments)


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that migrates alone, after any other migrator has finished.

    :raises CommandError: another session holds a lock on a table; the message names the session
    """
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        connection.execution_options(isolation_level="AUTOCOMMIT")
        if shares_connections(driver, engine.url):
            raise CommandError(SET_DIRECT_URL)
        _wait_for_turn(connection)
        # The role may have limits that a migration of a large table exceeds.
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET idle_in_transaction_session_timeout = 0"))
        connection.execute(text(f"SET lock_timeout = {int(LOCK_TIMEOUT_S * 1000)}"))
        connection.commit()
        connection.execution_options(isolation_level="READ COMMITTED")
        with _watching_locks(engine.url, driver.info.backend_pid) as blockers:
            try:
                yield connection
            except OperationalError as error:
                if getattr(error.orig, "pgcode", None) != _LOCK_NOT_AVAILABLE:
                    raise
                raise CommandError(_blocked(blockers)) from error


def _blocked(blockers: list[Session]) -> str:
    names = "; ".join(map(str, blockers)) or "a session that has ended meanwhile"
    ends = " ".join(f"SELECT pg_terminate_backend({one.pid});" for one in blockers)
    return (
        f"The migration waited {LOCK_TIMEOUT_S:g} s for a lock on a table (lock timeout). Held by {names}."
        " Nothing was changed by this revision. Wait until that session ends"
        f"{f', or end it ({ends})' if ends else ''}, then migrate again."
    )


def _wait_for_turn(connection: Connection) -> None:
    logged_at = 0.0
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK}):
        if time.monotonic() - logged_at >= _LOG_INTERVAL_S:
            logged_at = time.monotonic()
            holders = [Session(*row) for row in connection.execute(_HOLDER, {"key": ADVISORY_LOCK})]
            log.warning("Waiting for another migration: %s", "; ".join(map(str, holders)))
        time.sleep(_POLL_INTERVAL_S)


@contextmanager
def _watching_locks(url: URL, pid: int) -> Iterator[list[Session]]:
    """Yield the sessions that the session `pid` waited for last. The server forgets them after a timeout."""
    seen: list[Session] = []
    ended = threading.Event()

    def watch() -> None:
        engine = migration_engine(url.render_as_string(hide_password=False))
        try:
            with engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                while not ended.wait(_POLL_INTERVAL_S):
                    found = [Session(*row) for row in connection.execute(_BLOCKERS, {"pid": pid})]
                    seen[:] = found or seen
        except SQLAlchemyError:
            # Without a second connection, the message about the lock names no session.
            log.debug("The locks cannot be watched.", exc_info=True)

    thread = threading.Thread(target=watch, name="migration locks", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
