"""Opens the settings and the database of the service for a command, without the web application.

Expected errors become messages with cause and remedy, instead of a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import make_url
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session, sessionmaker

from combine_core.cli.ini import IniFileError, application_keys, path_of
from combine_core.database import make_engine, make_sessions
from combine_core.postgres import with_database
from combine_core.postgres.diagnosis import Cause, Diagnosis, diagnose, explain_error
from combine_core.projects import model as _projects  # noqa: F401 - tables of add-ons refer to it
from combine_core.settings import ConfigurationEnvironmentError, LoadedSettings, load_all
from combine_core.settings.core import CoreSettings

# The SQLSTATE of "undefined table".
_NO_TABLE = "42P01"
PROBE_S = 4.0
# Causes that a probe of the database cannot find.
_ONLY_IN_ERROR = frozenset({Cause.POOL_EXHAUSTED, Cause.READ_ONLY})


@dataclass(frozen=True)
class Service:
    """The settings and the database sessions of the service."""

    settings: LoadedSettings
    sessions: sessionmaker[Session]

    @property
    def core(self) -> CoreSettings:
        return self.settings.get(CoreSettings)


def read_settings(ini: str) -> CoreSettings:
    """Return the application's settings, with the address of a running database."""
    loaded = load_all(application_keys(ini), path_of(ini))
    return with_database(loaded, migrate=False).get(CoreSettings)


@contextmanager
def open_service(ini: str, *, all_models: bool = True) -> Iterator[Service]:
    """Open the settings and the database of this ini file for a command.

    :param all_models: whether to load all models, which takes half a second. With ``False``, only users,
        projects and the models that the command has imported are available
    :raises IniFileError: the ini file cannot be read
    :raises ConfigurationEnvironmentError: the settings are invalid
    :raises DatabaseUnusableError: the database failed inside the block
    """
    loaded = with_database(load_all(application_keys(ini), path_of(ini)))
    core = loaded.get(CoreSettings)
    engine = make_engine(
        core.direct_url,
        application_name="combine command",
        pool_size=2,
        max_overflow=2,
        slow_query_ms=core.slow_query_ms,
    )
    try:
        with diagnosing(core.direct_url):
            yield Service(loaded, make_sessions(engine, all_models=all_models))
    finally:
        engine.dispose()


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
