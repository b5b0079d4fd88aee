"""What a command says when the service cannot be reached: one line, not a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.exc import OperationalError, ProgrammingError

from combine_core.database.embedded import EmbeddedPostgresError
from combine_core.settings import ConfigurationEnvironmentError

# The SQLSTATE of "undefined table".
_NO_TABLE = "42P01"


@contextmanager
def reported() -> Iterator[None]:
    """Turn what may go wrong in operation into a message and exit status 1; let bugs through."""
    try:
        yield
    except (ConfigurationEnvironmentError, EmbeddedPostgresError) as error:
        raise click.ClickException(str(error)) from error
    except OperationalError as error:
        # The driver's text names host and user, never the password.
        cause = str(error.orig).strip().splitlines()[0]
        message = f"The database cannot be used: {cause}\nCheck that it runs, and DATABASE_URL."
        raise click.ClickException(message) from error
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) != _NO_TABLE:
            raise
        message = "The database has no tables yet. Run: combine migrate -c INI"
        raise click.ClickException(message) from error
