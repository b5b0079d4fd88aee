"""What an error says about the database: by SQLSTATE, which has no language, else by its English text."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any

import psycopg2
import sqlalchemy.exc

from combine_core.postgres.diagnosis.causes import Cause, Diagnosis

# SQLSTATEs and, with two characters, whole classes of them (PostgreSQL's manual, appendix A).
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
# Faults of the database that say nothing about reaching it: conflicts, locks, internal errors, and a
# schema that is not the one this code needs (a migration is missing or running).
_OTHER_FAULTS = ("40", "55", "XX", "42P01", "42703")

# libpq's and the server's English. While connecting, libpq reports no SQLSTATE to the driver.
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
        # PgBouncer's own words.
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

# The server's function that raised the error (field R) tells apart what shares one SQLSTATE.
NO_RULE = "ClientAuthentication"
_WHY_FULL = {
    "InitPostgres": "The slots that are left are reserved for superusers.",
    "InitializeSessionUserId": "The limit of this user (ALTER ROLE, CONNECTION LIMIT) is reached.",
    "CheckMyDatabase": "The limit of this database (ALTER DATABASE, CONNECTION LIMIT) is reached.",
}
_WHY_REFUSED = {
    NO_RULE: "No line of its pg_hba.conf lets this user in from here.",
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
        """Whether no line of pg_hba.conf matches; another line may match with or without TLS."""
        return self.sqlstate == "28000" and self.routine in {NO_RULE, ""}

    def diagnosis(self) -> Diagnosis:
        """The cause of a connection that the server refuses with this error."""
        cause = cause_of(self.sqlstate)
        why = ""
        if cause is Cause.TOO_MANY_CONNECTIONS:
            why = _WHY_FULL.get(self.routine, "max_connections is reached.")
        elif self.sqlstate == "28000":
            why = _WHY_REFUSED.get(self.routine, "")
        said = f'The server says: "{_quoted(self.message)}" (SQLSTATE {self.sqlstate}).'
        known = cause_of_text(self.message) if cause in {None, Cause.UNKNOWN} else cause
        return Diagnosis(known or Cause.REJECTED, f"{said} {why}".rstrip())


def cause_of(sqlstate: str | None) -> Cause | None:
    """The cause that an SQLSTATE, or else its class, stands for; ``None`` if it is not a fault of access."""
    code = sqlstate or ""
    return _BY_SQLSTATE.get(code) or _BY_SQLSTATE.get(code[:2])


def cause_of_text(text: str) -> Cause | None:
    """The cause that an English text names."""
    return next((cause for pattern, cause in _BY_TEXT if pattern.search(text)), None)


def explain_error(error: BaseException) -> Diagnosis | None:
    """The diagnosis that ``error`` alone allows; ``None`` if it is not about access to the database.

    Reads the SQLSTATE if there is one, else English text. An error in another language gives
    ``database_unreachable``; only :func:`diagnose` can then tell more.
    """
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return Diagnosis(Cause.POOL_EXHAUSTED, "No connection became free in time (timeout).")
    if isinstance(error, sqlalchemy.exc.ArgumentError):
        # Its text may quote the URL.
        return Diagnosis(Cause.BAD_URL, "SQLAlchemy cannot read it.")
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
        return explain_error(error.orig)
    if not _is_of_driver(error, "Error"):
        return None
    code = _sqlstate_of(error)
    cause = cause_of(code)
    if code is None and _is_of_driver(error, "OperationalError", "InterfaceError"):
        cause = Cause.UNKNOWN
    if code is None or cause is Cause.UNKNOWN:
        # PgBouncer gives all its errors one SQLSTATE, of which their English text says more.
        cause = cause_of_text(str(error)) or cause
    if cause is Cause.BAD_URL:
        # libpq quotes what it does not understand, which may be half of a password.
        return Diagnosis(cause, "The driver cannot read it.")
    return None if cause is None else Diagnosis(cause, quote_driver(str(error)))


def is_database_fault(error: BaseException) -> bool:
    """Whether the database is away, busy, full, broken or not at the schema that this code needs.

    Such an error says nothing about the work that met it: the same work may succeed later.
    """
    if (
        isinstance(error, _loaded("procrastinate.exceptions", "ConnectorException"))
        and error.__cause__ is not None
    ):
        # Procrastinate wraps what the driver raises while it writes a job.
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
        # While it connects, or when the connection is cut, the driver has no code.
        return _is_of_driver(error, "OperationalError", "InterfaceError")
    return cause_of(code) is not None or code.startswith(_OTHER_FAULTS)


def _is_of_driver(error: BaseException, *names: str) -> bool:
    """Whether it is one of these errors of psycopg2, or of psycopg 3, which Procrastinate uses."""
    return isinstance(error, _loaded("psycopg2", *names) + _loaded("psycopg", *names))


def _loaded(module: str, *names: str) -> tuple[type[BaseException], ...]:
    """These classes of a module. If nobody has loaded it, there are none, and no error of them either."""
    found = sys.modules.get(module)
    return tuple(getattr(found, name) for name in names if hasattr(found, name))


def _sqlstate_of(error: Any) -> str | None:
    return error.pgcode if isinstance(error, psycopg2.Error) else error.sqlstate


def quote_driver(text: str) -> str:
    """A sentence that quotes the first line of what the driver says."""
    lines = text.strip().splitlines()
    return f'The driver says: "{_quoted(lines[0] if lines else "nothing")}".'


def _quoted(text: str) -> str:
    """``text`` in one line, without control characters, and not too long."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:_LONGEST_QUOTE]
