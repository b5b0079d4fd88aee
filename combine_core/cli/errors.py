"""Turns expected errors of a command into messages with cause and remedy, instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url
from sqlalchemy.exc import ProgrammingError

from combine_core.cli.ini import IniFileError
from combine_core.postgres.diagnosis import Cause, Diagnosis, diagnose, explain_error
from combine_core.settings import ConfigurationEnvironmentError

# The SQLSTATE of "undefined table".
_NO_TABLE = "42P01"
PROBE_S = 4.0
# Causes that a probe of the database cannot find.
_ONLY_IN_ERROR = frozenset({Cause.POOL_EXHAUSTED, Cause.READ_ONLY})


class DatabaseUnusableError(Exception):
    """An error with the diagnosis of a database that cannot be used."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(str(diagnosis))


@contextmanager
def diagnosing(url: str) -> Iterator[None]:
    """Diagnose the database of this URL if it fails inside the block.

    A driver's message may be in any language and contain no code, so the database is probed step by step.

    :raises DatabaseUnusableError: instead of the driver's exception
    """
    try:
        yield
    except Exception as error:
        diagnosis = explain_error(error)
        if diagnosis is None:
            raise
        if diagnosis.cause not in _ONLY_IN_ERROR:
            probed = diagnose(make_url(url), PROBE_S)
            # The database may be reachable again already.
            if probed.cause not in {Cause.REACHABLE, Cause.UNKNOWN}:
                diagnosis = probed
        raise DatabaseUnusableError(diagnosis) from error


def message_of(error: Exception) -> str | None:
    """Return the cause and the remedy of an operational error, or ``None`` if the error is a bug."""
    from alembic.util import CommandError

    from combine_core.postgres.embedded import EmbeddedPostgresError

    match error:
        case CommandError():
            return str(error)
        case ConfigurationEnvironmentError() | EmbeddedPostgresError() | IniFileError():
            return str(error)
        case DatabaseUnusableError():
            return f"The database cannot be used: {error}"
        case ProgrammingError() if getattr(error.orig, "pgcode", None) == _NO_TABLE:
            return "The database has no tables yet. Run: combine migrate"
    diagnosis = explain_error(error)
    return None if diagnosis is None else f"The database cannot be used: {diagnosis}"
