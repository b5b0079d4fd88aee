"""One migration at a time, and what it waits for.

A waiting migrator asks again and again instead of waiting in the server: a statement that waits there keeps a
snapshot, for which the first migrator's CREATE INDEX CONCURRENTLY would wait in turn.
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

# Any number, as long as every process of Combine takes the same.
ADVISORY_LOCK = 0x636F6D62696E65
# The wait for a table that is in use. An endless wait would stop every request that comes after it.
LOCK_TIMEOUT_S = 10.0
_ASK_AGAIN_S = 0.5
_SAY_AGAIN_S = 30.0
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
    """An engine for migrations; `url` leads to PostgreSQL itself, or through a pooler that keeps sessions."""
    arguments = connection_arguments(make_url(url), "combine migrate")
    return create_engine(url, poolclass=NullPool, connect_args=arguments)


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """A connection that migrates alone. Waits for another migrator, as long as it takes.

    :raises CommandError: another session keeps a lock on a table; its text names the session
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
    said_at = 0.0
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK}):
        if time.monotonic() - said_at >= _SAY_AGAIN_S:
            said_at = time.monotonic()
            holders = [Session(*row) for row in connection.execute(_HOLDER, {"key": ADVISORY_LOCK})]
            log.warning("Waiting for another migration: %s", "; ".join(map(str, holders)))
        time.sleep(_ASK_AGAIN_S)


@contextmanager
def _watching_locks(url: URL, pid: int) -> Iterator[list[Session]]:
    """The sessions for which the session `pid` waited last. After a time-out the server cannot tell."""
    seen: list[Session] = []
    ended = threading.Event()

    def watch() -> None:
        engine = migration_engine(url.render_as_string(hide_password=False))
        try:
            with engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                while not ended.wait(_ASK_AGAIN_S):
                    found = [Session(*row) for row in connection.execute(_BLOCKERS, {"pid": pid})]
                    seen[:] = found or seen
        except SQLAlchemyError:
            # No second connection: the message about the lock then names nobody.
            log.debug("the locks cannot be watched", exc_info=True)

    thread = threading.Thread(target=watch, name="migration locks", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
