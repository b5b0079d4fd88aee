"""What a command says when the service cannot be reached: one line, not a traceback."""

from __future__ import annotations

from sqlalchemy.exc import OperationalError, ProgrammingError

from combine_core.database.embedded import EmbeddedPostgresError
from combine_core.settings import ConfigurationEnvironmentError

# The SQLSTATE of "undefined table".
_NO_TABLE = "42P01"


def explain(error: Exception) -> str | None:
    """What went wrong and what to do, for what may go wrong in operation; ``None`` for a bug."""
    match error:
        case ConfigurationEnvironmentError() | EmbeddedPostgresError():
            return str(error)
        case OperationalError():
            # The driver's text names host and user, never the password.
            cause = str(error.orig).strip().splitlines()[0]
            return f"The database cannot be used: {cause}\nCheck that it runs, and DATABASE_URL."
        case ProgrammingError() if getattr(error.orig, "pgcode", None) == _NO_TABLE:
            return "The database has no tables yet. Run: combine migrate -c INI"
    return None
