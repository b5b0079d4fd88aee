"""Finds the cause of a database error in its SQLSTATE, or in its English text if it has none."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any

import psycopg2
import sqlalchemy.exc

from combine_core.postgres.diagnosis.causes import Cause, Diagnosis

# SQLSTATEs, and classes of SQLSTATEs with two characters (PostgreSQL manual, appendix A).
_BY_SQLSTATE = {
    "08": Cause.UNKNOWN,
    "25006": Cause.READ_ONLY,
    "28": Cause.AUTH_FAILED,
    "3D000": Cause.MISSING,
    "42501": Cause.REJECTED,
    "53": Cause.OUT_OF_RESOURCES,
    "53100": Cause.DISK_FULL,
    "53300": Cause.TOO_MANY_CONNECTIONS,
    "57": Cause.UNKNOWN,
    "57014": Cause.TIMEOUT,
    "57P01": Cause.NOT_ACCEPTING,
    "57P02": Cause.NOT_ACCEPTING,
    "57P03": Cause.NOT_ACCEPTING,
    "58": Cause.STORAGE_FAILED,
    "XX001": Cause.CORRUPTED,
    "XX002": Cause.CORRUPTED,
}
# Faults of a reachable database: conflicts, locks, internal errors, and a schema that does not fit this code
# because a migration is missing or running.
_OTHER_FAULTS = ("40", "55", "XX", "42P01", "42703")

# The English messages of libpq and the server. While connecting, libpq passes no SQLSTATE to the driver.
_BY_TEXT = tuple(
    (re.compile(pattern, re.IGNORECASE), cause)
    for pattern, cause in (
        (r"could not translate host name|could not parse network address", Cause.UNKNOWN_HOST),
        (r"password authentication failed|no password supplied", Cause.AUTH_FAILED),
        (r"role \".*\" does not exist|(peer|ident) authentication failed", Cause.AUTH_FAILED),
        (r"no pg_hba\.conf entry .*(no encryption|SSL off)", Cause.TLS_REQUIRED),
        (r"no pg_hba\.conf entry|not permitted to log in", Cause.AUTH_FAILED),
        (r"database \".*\" does not exist", Cause.MISSING),
        (r"unsupported startup parameter", Cause.POOLER_REFUSED),
        # Messages of PgBouncer.
        (r"no such database", Cause.MISSING),
        (r"no such user|SASL authentication failed", Cause.AUTH_FAILED),
        (r"query_wait_timeout|no more connections allowed", Cause.TOO_MANY_CONNECTIONS),
        (r"pgbouncer cannot connect|server login (has been failing|failed)", Cause.POOLER_ALONE),
        (r"too many clients|remaining connection slots", Cause.TOO_MANY_CONNECTIONS),
        (r"too many connections for (role|database)", Cause.TOO_MANY_CONNECTIONS),
        (r"the database system is |terminating connection due to admin", Cause.NOT_ACCEPTING),
        (r"does not support SSL, but SSL was required", Cause.TLS_NOT_OFFERED),
        (r"certificate verify failed|root certificate file|SSL error", Cause.TLS_FAILED),
        (r"server certificate for .* does not match host name", Cause.TLS_FAILED),
        (r"invalid response to (SSL|GSSAPI) negotiation", Cause.NOT_POSTGRESQL),
        (r"expected authentication|invalid authentication message", Cause.NOT_POSTGRESQL),
        (r"invalid (dsn|connection option|URI|integer|port)", Cause.BAD_URL),
        (r"read-only transaction|session is read-only|in hot standby mode", Cause.READ_ONLY),
        (r"connection refused|no such file or directory", Cause.REFUSED),
        (r"no route to host|network is unreachable", Cause.NO_ROUTE),
        (r"cannot assign requested address", Cause.NO_ROUTE),
        (r"timeout expired|timed out", Cause.TIMEOUT),
        (r"server closed the connection|connection reset", Cause.CLOSED),
    )
)
_LONGEST_QUOTE = 300

# The server function that raised the error (field R) distinguishes faults with the same SQLSTATE.
NO_RULE = "ClientAuthentication"
_WHY_FULL = {
    "InitPostgres": "The remaining slots are reserved for superusers.",
    "InitializeSessionUserId": "The limit of this user (ALTER ROLE, CONNECTION LIMIT) is reached.",
    "CheckMyDatabase": "The limit of this database (ALTER DATABASE, CONNECTION LIMIT) is reached.",
}
_WHY_REFUSED = {
    NO_RULE: "No line of its pg_hba.conf allows this user to connect from this host.",
    "InitializeSessionUserId": "The user does not exist or may not log in.",
}


@dataclass(frozen=True, slots=True)
class ServerError:
    """The fields C (SQLSTATE), M (message, in the server's language) and R (routine) of an error."""

    sqlstate: str
    message: str
    routine: str = ""

    @property
    def is_missing_rule(self) -> bool:
        """True if no line of pg_hba.conf matches. With or without TLS, another line may match."""
        return self.sqlstate == "28000" and self.routine in {NO_RULE, ""}

    def diagnosis(self) -> Diagnosis:
        cause = cause_of(self.sqlstate)
        why = ""
        if cause is Cause.TOO_MANY_CONNECTIONS:
            why = _WHY_FULL.get(self.routine, "max_connections is reached.")
        elif self.sqlstate == "28000":
            why = _WHY_REFUSED.get(self.routine, "")
        reported = f'The server reports: "{_quoted(self.message)}" (SQLSTATE {self.sqlstate}).'
        if cause in {None, Cause.UNKNOWN}:
            cause = cause_of_text(self.message)
        return Diagnosis(cause or Cause.REJECTED, f"{reported} {why}".rstrip())


def cause_of(sqlstate: str | None) -> Cause | None:
    """Return the cause for an SQLSTATE or its class, or ``None`` if it does not concern access."""
    code = sqlstate or ""
    return _BY_SQLSTATE.get(code) or _BY_SQLSTATE.get(code[:2])


def cause_of_text(text: str) -> Cause | None:
    """Return the cause for an English message, or ``None`` if the message is unknown."""
    return next((cause for pattern, cause in _BY_TEXT if pattern.search(text)), None)


def explain_error(error: BaseException) -> Diagnosis | None:
    """Diagnose an error without a connection; return ``None`` if it does not concern database access.

    Reads the SQLSTATE if there is one, else English text. An error in another language results in
    ``database_unreachable``; only :func:`diagnose` can find its cause.
    """
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return Diagnosis(Cause.POOL_EXHAUSTED, "No connection became free in time (timeout).")
    if isinstance(error, sqlalchemy.exc.ArgumentError):
        # The message may quote the URL.
        return Diagnosis(Cause.BAD_URL, "SQLAlchemy cannot parse it.")
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
        return explain_error(error.orig)
    if not _is_of_driver(error, "Error"):
        return None
    code = _sqlstate_of(error)
    cause = cause_of(code)
    if code is None and _is_of_driver(error, "OperationalError", "InterfaceError"):
        cause = Cause.UNKNOWN
    if code is None or cause is Cause.UNKNOWN:
        # All errors of PgBouncer have the same SQLSTATE; their English text tells them apart.
        cause = cause_of_text(str(error)) or cause
    if cause is Cause.BAD_URL:
        # libpq quotes the part that it cannot parse, which may be part of a password.
        return Diagnosis(cause, "The driver cannot parse it.")
    return None if cause is None else Diagnosis(cause, quote_driver(str(error)))


def is_database_fault(error: BaseException) -> bool:
    """Check whether the database is unavailable, busy, full, broken or at another schema than this code.

    Such an error is independent of the work that it interrupted, which may succeed later.
    """
    if (
        isinstance(error, _loaded("procrastinate.exceptions", "ConnectorException"))
        and error.__cause__ is not None
    ):
        # Procrastinate wraps the errors that the driver raises while it writes a job.
        return is_database_fault(error.__cause__)
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return True
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        return error.connection_invalidated or (
            error.orig is not None and is_database_fault(error.orig)
        )
    if not _is_of_driver(error, "Error"):
        return False
    code = _sqlstate_of(error)
    if code is None:
        # An error while connecting or after the connection was cut has no code.
        return _is_of_driver(error, "OperationalError", "InterfaceError")
    return cause_of(code) is not None or code.startswith(_OTHER_FAULTS)


def _is_of_driver(error: BaseException, *names: str) -> bool:
    """Check whether the error is of a named class of psycopg2, or of psycopg 3, which Procrastinate uses."""
    return isinstance(error, _loaded("psycopg2", *names) + _loaded("psycopg", *names))


def _loaded(module: str, *names: str) -> tuple[type[BaseException], ...]:
    """Return the named classes of a module, or nothing if it is not imported and so cannot have raised."""
    imported = sys.modules.get(module)
    return tuple(getattr(imported, name) for name in names if hasattr(imported, name))


def _sqlstate_of(error: Any) -> str | None:
    return error.pgcode if isinstance(error, psycopg2.Error) else error.sqlstate


def quote_driver(text: str) -> str:
    """Return a sentence that quotes the first line of a driver's message."""
    lines = text.strip().splitlines()
    return f'The driver reports: "{_quoted(lines[0] if lines else "nothing")}".'


def _quoted(text: str) -> str:
    """Join the lines of a text, remove control characters, and truncate it."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:_LONGEST_QUOTE]
