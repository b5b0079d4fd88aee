"""What a command says when the service cannot be reached: cause and remedy, not a traceback."""

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
# Of our own making, or what only the driver's own words can tell.
_KNOWN = frozenset({Cause.POOL_EXHAUSTED, Cause.READ_ONLY})


class DatabaseUnusableError(Exception):
    """The database cannot be used; the text is the diagnosis."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(str(diagnosis))


@contextmanager
def explaining(url: str) -> Iterator[None]:
    """Where the database of this URL fails inside, go and find out why.

    A driver's text may be in any language and names no code; the probe asks step by step.

    :raises DatabaseUnusableError: instead of what the driver raised
    """
    try:
        yield
    except Exception as error:
        seen = explain_error(error)
        if seen is None:
            raise
        found = seen if seen.cause in _KNOWN else diagnose(make_url(url), PROBE_S)
        # It may be back already.
        known = seen if found.cause in {Cause.REACHABLE, Cause.UNKNOWN} else found
        raise DatabaseUnusableError(known) from error


def explain(error: Exception) -> str | None:
    """What went wrong and what to do, for what may go wrong in operation; ``None`` for a bug."""
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
