"""How each connection is opened, by the engine, Alembic, Procrastinate and the health checks alike.

The parameters of DATABASE_URL win over those that we add. The limits of a session are set by a statement:
PgBouncer refuses the startup parameter ``options``, in which libpq would send them.

Where a pooler gives each transaction another connection, a statement would set the limits of somebody else.
The role must have them then (``ALTER ROLE ... SET``), and the log says which are missing.
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
    # A server that vanished is noticed after about 8 s, not after two hours.
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 8_000,
}
_IN_FORCE = "SELECT name, setting FROM pg_settings WHERE lower(name) = ANY(%s)"
SET_DIRECT_URL = (
    "DATABASE_URL leads through a pooler that gives each transaction another connection (PgBouncer: pool_mode"
    " = transaction). Migrations, workers and commands need one that they keep: set DATABASE_DIRECT_URL to"
    " the address of PostgreSQL itself. See docs/pgbouncer.md."
)


def conninfo(url: URL) -> str:
    """The same for libpq, which psycopg and psycopg2 use. It reads some escapes of SQLAlchemy differently.

    :raises psycopg2.ProgrammingError: libpq does not know a parameter
    """
    named: dict[str, Any] = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "dbname": url.database,
        **url.query,
    }
    given = {name: value for name, value in named.items() if value not in (None, "")}
    return str(make_dsn(**given))


def connection_arguments(url: URL, application_name: str, **ours: Any) -> dict[str, Any]:
    """What the driver gets beside the URL.

    :param application_name: the name of our connections in ``pg_stat_activity``
    :param ours: parameters that replace the usual ones; those in the URL win over both
    """
    wanted = {**_DEFAULTS, **ours}
    added = {name: value for name, value in wanted.items() if name not in url.query}
    return {"application_name": application_name, **added}


def limit_sessions(engine: Engine, *, shared: bool) -> None:
    """Set the limits of each new connection, unless the URL sets them.

    :param shared: a pooler gives each transaction another connection, so the role must have the limits
    """
    # The listener must not hold the engine: its connections close when its last user is gone.
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
    missing = _not_in_force(connection, wanted)
    if missing:
        role = quote_ident(connection.info.user, connection)
        commands = " ".join(f"ALTER ROLE {role} SET {name} = '{wanted[name]}';" for name in missing)
        log.warning(
            "Not in force, because a pooler shares the connections: %s. Run in PostgreSQL: %s Then let the"
            " pooler connect anew (PgBouncer: RECONNECT).",
            ", ".join(missing),
            commands,
        )


def shares_connections(connection: Connection, url: URL) -> bool:
    """Whether a pooler gives each transaction on `connection` another connection to the server.

    A pooler answers with a process number of its own. If it keeps the server's connection for its client,
    a second client gets another one.
    """
    server = _backend(connection)
    if connection.info.backend_pid == server:
        return False
    arguments = connection_arguments(url, "combine look for pooler")
    try:
        with closing(psycopg2.connect(conninfo(url), **arguments)) as second:
            second.autocommit = True
            # A pooler that keeps connections lets this one wait if all are in use.
            with cut_after(second, _WAIT_S):
                return _backend(second) == server
    except psycopg2.Error:
        return False


@contextmanager
def cut_after(connection: Connection, seconds: float) -> Iterator[threading.Event]:
    """Cut `connection` if the block takes longer. The driver itself waits for the server without a limit.

    :return: set once the connection was cut
    """
    too_late = threading.Event()

    def cut() -> None:
        too_late.set()
        # The end of the stream ends the driver's wait.
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


def _not_in_force(connection: Connection, wanted: dict[str, str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_IN_FORCE, (list(wanted),))
        found = {name.lower(): setting for name, setting in cursor.fetchall()}
    # Any limit of the operator's will do; without one, a time-out is 0.
    usable = {name for name, setting in found.items() if setting not in {"0", "-1"}}
    if found.get("timezone") not in {"UTC", "Etc/UTC"}:
        usable.discard("timezone")
    return [name for name in wanted if name not in usable]
