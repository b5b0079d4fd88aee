"""Run migrations with the settings of the application, one process at a time.

The database is that of the ini file and of the environment, exactly as the service reads them.
"""

from __future__ import annotations

import logging.config

from alembic import context
from alembic.runtime.migration import MigrationContext

from combine_core.database.metadata import is_ours, load_models
from combine_core.database.migrating import migrating, migration_engine
from combine_core.database.migrations import include_object
from combine_core.database.undo import add_unknown, follow


def database_url() -> str:
    """The URL that a caller has put there, else that of the ini file's application."""
    given = context.config.attributes.get("database_url")
    if given is not None:
        return str(given)
    from combine_core.cli.service import read_settings

    assert context.config.config_file_name is not None
    return read_settings(context.config.config_file_name).direct_url


def run() -> None:
    """Migrate in one transaction, so that a revision that fails leaves nothing behind."""
    ini = context.config.config_file_name
    if ini is not None and context.config.get_section("loggers"):
        logging.config.fileConfig(ini, disable_existing_loggers=False)
    engine = migration_engine(database_url())
    with migrating(engine) as connection:
        version_table = context.config.attributes.get("version_table")
        on_version_apply = None
        if version_table is None:  # else they are an add-on's
            # A newer release may have been here; what it left says how to go back.
            add_unknown(
                connection,
                context.script,
                MigrationContext.configure(connection).get_current_heads(),
            )
            on_version_apply = follow(connection, context.script)
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=load_models(),
            include_object=include_object,
            include_name=is_ours,
            compare_server_default=True,
            transaction_per_migration=True,
            on_version_apply=on_version_apply,
            version_table=version_table or "alembic_version",
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


if context.is_offline_mode():
    message = "Migrations need the database: --sql is not supported."
    raise SystemExit(message)
run()
