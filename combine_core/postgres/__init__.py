"""The embedded PostgreSQL server for development, and the diagnosis of database faults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from combine_core.settings import SETTINGS_KEY, LoadedSettings, load_into
from combine_core.settings.core import CoreSettings
from combine_core.settings.redaction import REDACTOR

if TYPE_CHECKING:
    from pyramid.config import Configurator


def with_database(loaded: LoadedSettings, *, migrate: bool = True) -> LoadedSettings:
    """Return the settings, with the URL of the embedded database if they contain no database URL.

    Starts the embedded server if it does not run, and migrates its schema. The server stops when the last
    process that uses it ends. A configured database is not contacted, so the service starts even if that
    database is down.

    :param migrate: ``False`` for alembic, which migrates itself
    :raises EmbeddedPostgresError: the server cannot be started; the message contains the remedy
    """
    core = loaded.get(CoreSettings)
    if core.database_url is not None:
        return loaded
    from combine_core.postgres.diagnosis import use_embedded_advice
    from combine_core.postgres.embedded import EmbeddedPostgres
    from combine_core.settings.database_url import parse_database_url

    folder = Path(core.var_dir) / "postgres"
    url = parse_database_url(EmbeddedPostgres(folder).start())
    use_embedded_advice(folder)
    started = loaded.replaced(CoreSettings, "embedded database", database_url=url)
    REDACTOR.add(started.secrets())
    if migrate:
        from combine_core.database.migrations import upgrade

        upgrade(url.get_secret_value())
    return started


def includeme(config: Configurator) -> None:
    """Start the embedded database if the settings contain no database URL, which development allows."""
    loaded = load_into(config.registry, CoreSettings)
    config.registry[SETTINGS_KEY] = with_database(loaded)
