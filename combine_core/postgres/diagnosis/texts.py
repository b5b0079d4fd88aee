"""What an exception of the driver or of SQLAlchemy says about the database, without asking it."""

from __future__ import annotations

import re

import psycopg
import psycopg2
import sqlalchemy.exc

from combine_core.postgres.diagnosis.answers import cause_of, one_line
from combine_core.postgres.diagnosis.causes import Cause, Diagnosis

# libpq's and the server's English, where there is no SQLSTATE: the driver has none while connecting.
_TEXTS = tuple(
    (re.compile(pattern, re.IGNORECASE), cause)
    for pattern, cause in (
        (r"could not translate host name|could not parse network address", Cause.UNKNOWN_HOST),
        (r"password authentication failed|no password supplied", Cause.AUTH_FAILED),
        (r"role \".*\" does not exist|(peer|ident) authentication failed", Cause.AUTH_FAILED),
        (r"no pg_hba\.conf entry .*(no encryption|SSL off)", Cause.TLS_REQUIRED),
        (r"no pg_hba\.conf entry|not permitted to log in", Cause.AUTH_FAILED),
        (r"database \".*\" does not exist", Cause.MISSING),
        (r"too many clients|remaining connection slots", Cause.TOO_MANY_CONNECTIONS),
        (r"too many connections for (role|database)", Cause.TOO_MANY_CONNECTIONS),
        (r"the database system is |terminating connection due to admin", Cause.NOT_ACCEPTING),
        (r"does not support SSL, but SSL was required", Cause.TLS_NOT_OFFERED),
        (r"certificate verify failed|root certificate file|SSL error", Cause.TLS_FAILED),
        (r"server certificate for .* does not match host name", Cause.TLS_FAILED),
        (r"invalid response to SSL negotiation|expected authentication", Cause.NOT_POSTGRESQL),
        (r"invalid (dsn|connection option|URI|integer|port)", Cause.BAD_URL),
        (r"read-only transaction", Cause.READ_ONLY),
        (r"connection refused|no such file or directory", Cause.REFUSED),
        (r"no route to host|network is unreachable", Cause.NO_ROUTE),
        (r"timeout expired|timed out", Cause.TIMEOUT),
        (r"server closed the connection|connection reset", Cause.CLOSED),
    )
)
_OF_THE_DATABASE = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)


def explain_error(error: BaseException) -> Diagnosis | None:
    """What ``error`` tells of the database; ``None`` if it is about something else.

    Reads SQLSTATE where there is one, else English text; an error in another language is
    database_unreachable, and only :func:`diagnose` can tell more.
    """
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return Diagnosis(Cause.POOL_EXHAUSTED, "No connection became free in time (timeout).")
    if isinstance(error, sqlalchemy.exc.ArgumentError):
        # Its text may quote the URL.
        return Diagnosis(Cause.BAD_URL, "SQLAlchemy cannot read it.")
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
        return explain_error(error.orig)
    if isinstance(error, psycopg2.Error | psycopg.Error):
        code = error.pgcode if isinstance(error, psycopg2.Error) else error.sqlstate
        return _of_driver(error, code)
    return None


def _of_driver(error: BaseException, code: str | None) -> Diagnosis | None:
    text = str(error)
    known = cause_of(code) or (cause_of_text(text) if code is None else None)
    if known is Cause.BAD_URL:
        # libpq quotes what it does not understand, which may be half of a password.
        return Diagnosis(known, "The driver cannot read it.")
    if known is not None:
        return Diagnosis(known, _said(error))
    if isinstance(error, _OF_THE_DATABASE) and (code is None or code[:2] in {"08", "57"}):
        return Diagnosis(Cause.UNKNOWN, _said(error))
    return None


def cause_of_text(text: str) -> Cause | None:
    """The cause that an English text names."""
    return next((cause for pattern, cause in _TEXTS if pattern.search(text)), None)


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f'The driver says: "{one_line(lines[0] if lines else type(error).__name__)}".'
