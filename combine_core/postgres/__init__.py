"""PostgreSQL itself: the embedded server of development, and the diagnosis of database faults."""

from __future__ import annotations

import logging
from pathlib import Path

from combine_core.settings import LoadedSettings
from combine_core.settings.core import CoreSettings

logger = logging.getLogger(__name__)


def with_database(loaded: LoadedSettings, *, migrate: bool = True) -> LoadedSettings:
    """The settings, with the URL of the embedded database where no other is set.

    The embedded server is started if it does not run, and stopped when the last process that uses it
    ends. Nobody else looks after its schema, so it is brought to the newest revision here. A database
    that somebody has set is left alone: it may be down, and the service starts all the same.

    :param migrate: ``False`` for alembic, which does that itself
    :raises EmbeddedPostgresError: it cannot be started; the message says what to do
    """
    core = loaded.get(CoreSettings)
    if core.database_url is not None:
        return loaded
    from combine_core.postgres.embedded import EmbeddedPostgres
    from combine_core.settings.database_url import parse_database_url

    url = parse_database_url(EmbeddedPostgres(Path(core.var_dir) / "postgres").start())
    if migrate:
        from combine_core.database.migrations import upgrade

        upgrade(url.get_secret_value())
    return loaded.replaced(CoreSettings, "embedded database", database_url=url)
