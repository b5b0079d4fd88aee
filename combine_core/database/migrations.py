"""Migrates the schema with alembic. Only processes that migrate import this module."""

from __future__ import annotations

from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from combine_core.database.migration_lock import migration_engine
from combine_core.database.revisions import (
    migrations_folder,
    packages_of_add_ons,
    version_table,
)


def _config(database_url: str) -> Config:
    config = Config()
    # alembic's parser treats % as the beginning of a variable.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["database_url"] = database_url
    return config


def current_revisions(database_url: str) -> tuple[str, ...]:
    """Return the revisions of the database: one, or none before the first migration."""
    with migration_engine(database_url).connect() as connection:
        return MigrationContext.configure(connection).get_current_heads()


def upgrade(database_url: str) -> None:
    """Migrate the database to the newest revision, then to the newest revision of each add-on."""
    command.upgrade(_config(database_url), "head")
    for name, package in packages_of_add_ons().items():
        command.upgrade(_config_of(name, package, database_url), "head")


def remove_add_on(database_url: str, name: str) -> None:
    """Undo all revisions of this add-on.

    :raises KeyError: no installed add-on of this name has revisions
    """
    package = packages_of_add_ons()[name]
    command.downgrade(_config_of(name, package, database_url), "base")


def _config_of(name: str, package: str, database_url: str) -> Config:
    config = _config(database_url)
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(resources.files(package)).replace("%", "%%"))
    config.attributes["version_table"] = version_table(name)
    return config
