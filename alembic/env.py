"""Runs migrations with the settings of the application, one process at a time.

The database is the one that the service uses: alembic reads the same ini file and environment.
"""

from __future__ import annotations

import logging.config

from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError

from combine_core.database.metadata import is_ours, load_models
from combine_core.database.migration_lock import migrating, migration_engine
from combine_core.database.undo import add_unknown, record_undo


def database_url() -> str:
    """Return the URL that the caller has set, else the URL of the application in the ini file."""
    url_of_caller = context.config.attributes.get("database_url")
    if url_of_caller is not None:
        return str(url_of_caller)
    from combine_core.cli.service import read_settings

    assert context.config.config_file_name is not None
    return read_settings(context.config.config_file_name).direct_url


def run(url: str) -> None:
    """Run each revision in a transaction of its own, so that a failed revision changes nothing."""
    engine = migration_engine(url)
    with migrating(engine) as connection:
        version_table = context.config.attributes.get("version_table")
        on_version_apply = None
        if version_table is None:  # these are not the revisions of an add-on
            # A newer release may have migrated the database and stored how to undo its revisions.
            add_unknown(
                connection,
                context.script,
                MigrationContext.configure(connection).get_current_heads(),
            )
            on_version_apply = record_undo(connection, context.script)
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=load_models(),
            include_object=lambda _object, name, type_, *_: is_ours(name, type_, None),
            include_name=is_ours,
            compare_server_default=True,
            transaction_per_migration=True,
            on_version_apply=on_version_apply,
            version_table=version_table or "alembic_version",
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def run_for_operator() -> None:
    """Run the migrations for the command ``alembic``, which prints a `CommandError` without a traceback."""
    from combine_core.cli.service import diagnosing, message_of

    try:
        url = database_url()
        with diagnosing(url):
            run(url)
    except Exception as error:
        message = message_of(error)
        if message is None:
            raise
        raise CommandError(message) from error


if context.is_offline_mode():
    message = "Migrations need the database: --sql is not supported."
    raise SystemExit(message)
ini_file = context.config.config_file_name
if ini_file is not None and context.config.get_section("loggers"):
    logging.config.fileConfig(ini_file, disable_existing_loggers=False)
if context.config.cmd_opts is None:
    run(database_url())
else:
    run_for_operator()
