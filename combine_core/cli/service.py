"""Opens the settings and the database of the service for a command, without the web application."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.orm import Session, sessionmaker

from combine_core.cli.errors import diagnosing
from combine_core.cli.ini import application_keys, path_of
from combine_core.database import make_engine, make_sessions
from combine_core.postgres import with_database
from combine_core.projects import model as _projects  # noqa: F401 - tables of add-ons refer to it
from combine_core.settings import LoadedSettings, load_all
from combine_core.settings.core import CoreSettings


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
