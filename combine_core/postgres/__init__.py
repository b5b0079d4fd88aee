"""PostgreSQL itself: the embedded server of development, and the diagnosis of database faults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from combine_core.settings import SETTINGS_KEY, LoadedSettings, load_into
from combine_core.settings.core import CoreSettings
from combine_core.settings.redaction import REDACTOR

if TYPE_CHECKING:
    from pyramid.config import Configurator


def with_database(loaded: LoadedSettings, *, migrate: bool = True) -> LoadedSettings:
    """The settings; if they name no database, with the URL of the embedded one.

    Starts the embedded server if it does not run, and migrates its schema. The server stops when the last
    process that uses it ends. A database that is configured is not touched: the service starts even if it
    is down.

    :param migrate: ``False`` for alembic, which migrates itself
    :raises EmbeddedPostgresError: the server cannot be started; the message says what to do
    """
    core = loaded.get(CoreSettings)
    if core.database_url is not None:
        return loaded
    from combine_core.postgres.diagnosis import speak_of_embedded
    from combine_core.postgres.embedded import EmbeddedPostgres
    from combine_core.settings.database_url import parse_database_url

    folder = Path(core.var_dir) / "postgres"
    url = parse_database_url(EmbeddedPostgres(folder).start())
    speak_of_embedded(folder)
    started = loaded.replaced(CoreSettings, "embedded database", database_url=url)
    REDACTOR.add(started.secrets())
    if migrate:
        from combine_core.database.migrations import upgrade

        upgrade(url.get_secret_value())
    return started


def includeme(config: Configurator) -> None:
    """Start the embedded database if the settings name none: in development, and nowhere else."""
    loaded = load_into(config.registry, CoreSettings)
    config.registry[SETTINGS_KEY] = with_database(loaded)
