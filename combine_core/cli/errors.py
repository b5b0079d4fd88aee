"""What a command says when the service cannot be reached: cause and remedy, not a traceback."""

from __future__ import annotations

from sqlalchemy.exc import ProgrammingError

from combine_core.database.diagnosis import explain_error
from combine_core.database.embedded import EmbeddedPostgresError
from combine_core.settings import ConfigurationEnvironmentError

# The SQLSTATE of "undefined table".
_NO_TABLE = "42P01"


def explain(error: Exception) -> str | None:
    """What went wrong and what to do, for what may go wrong in operation; ``None`` for a bug."""
    match error:
        case ConfigurationEnvironmentError() | EmbeddedPostgresError():
            return str(error)
        case ProgrammingError() if getattr(error.orig, "pgcode", None) == _NO_TABLE:
            return "The database has no tables yet. Run: combine migrate -c INI"
    diagnosis = explain_error(error)
    return None if diagnosis is None else f"The database cannot be used: {diagnosis}"
