"""Connection parameters and session limits, for the engine, alembic, Procrastinate and the health checks.

The parameters of DATABASE_URL take precedence over the defaults here. A statement sets the limits of a
session, because PgBouncer rejects the startup parameter ``options``, in which libpq would send them.

Where a pooler gives each transaction another connection, such a statement would set the limits of another
client. The role must have the limits then (``ALTER ROLE ... SET``), and a log line lists the missing ones.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, in spite of its name
from psycopg2.extensions import make_dsn, quote_ident
from sqlalchemy import URL, Engine, event

log = logging.getLogger(__name__)

# Longer than the five seconds after which the runbook's query lists a statement as slow, so that an
# operator can see a statement before the database ends it.
SESSION = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}
CONNECT_TIMEOUT_S = 5
_WAIT_S = 2.0
_DEFAULTS = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    # Detect a server that has vanished after about 8 s, not after two hours.
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 8_000,
}
_IN_FORCE = "SELECT name, setting FROM pg_settings WHERE lower(name) = ANY(%s)"
SET_DIRECT_URL = (
    "DATABASE_URL leads through a pooler that gives each transaction another connection (PgBouncer: pool_mode"
    " = transaction). Migrations, workers and commands need a connection of their own: set"
    " DATABASE_DIRECT_URL to the address of PostgreSQL itself. See docs/pgbouncer.md."
)


def conninfo(url: URL) -> str:
    """Convert a URL to a connection string for libpq, which parses some escapes unlike SQLAlchemy.

    :raises psycopg2.ProgrammingError: libpq does not know a parameter
    """
    parameters: dict[str, Any] = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "dbname": url.database,
        **url.query,
    }
    present = {name: value for name, value in parameters.items() if value not in (None, "")}
    return str(make_dsn(**present))


def connection_arguments(url: URL, application_name: str, **overrides: Any) -> dict[str, Any]:
    """Return the connection parameters that the driver gets in addition to the URL.

    :param application_name: the name of the connections in ``pg_stat_activity``
    :param overrides: parameters that replace the defaults; those in the URL take precedence over both
    """
    wanted = {**_DEFAULTS, **overrides}
    added = {name: value for name, value in wanted.items() if name not in url.query}
    return {"application_name": application_name, **added}


def limit_sessions(engine: Engine, *, shared: bool) -> None:
    """Set the limits of each new connection, unless the URL sets them.

    :param shared: whether a pooler gives each transaction another connection, so that the role must have the
        limits
    """
    # The listener must not refer to the engine, whose connections close when it is garbage-collected.
    url = engine.url
    options = str(url.query.get("options", ""))
    wanted = {name: value for name, value in SESSION.items() if name not in options.lower()}
    statement = "; ".join(f"SET {name} = '{value}'" for name, value in wanted.items())
    is_first = True

    @event.listens_for(engine, "connect")
    def prepare(connection: Connection, _record: Any) -> None:
        nonlocal is_first
        connection.autocommit = True
        if is_first:
            _look_for_pooler(connection, url, wanted, shared=shared)
            is_first = False
        if statement and not shared:
            with connection.cursor() as cursor:
                cursor.execute(statement)
        connection.autocommit = False


def _look_for_pooler(
    connection: Connection, url: URL, wanted: dict[str, str], *, shared: bool
) -> None:
    if not shared:
        if shares_connections(connection, url):
            log.error("%s", SET_DIRECT_URL)
        return
    missing = _missing_limits(connection, wanted)
    if missing:
        role = quote_ident(connection.info.user, connection)
        commands = " ".join(f"ALTER ROLE {role} SET {name} = '{wanted[name]}';" for name in missing)
        log.warning(
            "These limits are not in force, because a pooler shares the connections: %s. Run in PostgreSQL:"
            " %s Then make the pooler reconnect (PgBouncer: RECONNECT).",
            ", ".join(missing),
            commands,
        )


def shares_connections(connection: Connection, url: URL) -> bool:
    """Check whether a pooler gives each transaction on `connection` another connection to the server.

    A pooler reports a process id of its own. If it reserves a server connection for each client, a second
    client gets another server process.
    """
    server = _backend(connection)
    if connection.info.backend_pid == server:
        return False
    arguments = connection_arguments(url, "combine look for pooler")
    try:
        with closing(psycopg2.connect(conninfo(url), **arguments)) as second:
            second.autocommit = True
            # A pooler that reserves connections makes this client wait if all are in use.
            with cut_after(second, _WAIT_S):
                return _backend(second) == server
    except psycopg2.Error:
        return False


@contextmanager
def cut_after(connection: Connection, seconds: float) -> Iterator[threading.Event]:
    """Cut `connection` if the block takes longer, because the driver waits for the server without a limit.

    :return: an event that is set when the connection is cut
    """
    too_late = threading.Event()

    def cut() -> None:
        too_late.set()
        # The driver stops waiting when the stream ends.
        with (
            suppress(OSError, psycopg2.Error),
            socket.socket(fileno=os.dup(connection.fileno())) as stream,
        ):
            stream.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, seconds), cut)
    timer.daemon = True
    timer.start()
    try:
        yield too_late
    finally:
        timer.cancel()


def _backend(connection: Connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ((number,),) = cursor.fetchall()
    return int(number)


def _missing_limits(connection: Connection, wanted: dict[str, str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_IN_FORCE, (list(wanted),))
        in_force = {name.lower(): setting for name, setting in cursor.fetchall()}
    # Any limit that the operator has set is fine. Without a limit, a timeout is 0.
    usable = {name for name, setting in in_force.items() if setting not in {"0", "-1"}}
    if in_force.get("timezone") not in {"UTC", "Etc/UTC"}:
        usable.discard("timezone")
    return [name for name in wanted if name not in usable]
