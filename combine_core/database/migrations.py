"""The revisions of the schema: those that the code knows, those of the database, and the upgrade.

The revisions of an add-on are a history of their own, with a version table of their own: its name, and
``_version``. So the head of ours stays one, and a rollback of Combine does not touch them.
"""

from __future__ import annotations

import functools
from importlib import resources
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from combine_core.database.migrating import migration_engine

# The packages of add-ons that hold revisions; the entry point has the name of the add-on.
MIGRATIONS_GROUP = "combine.migrations"


def migrations_folder() -> Path:
    """The folder of the revisions. In a checkout it is a link to ``alembic/``."""
    return Path(__file__).parent.parent / "migrations"


def is_ours(name: str | None, type_: str, _parents: Any) -> bool:
    """Whether alembic handles it. It skips Procrastinate's tables, which are not in our metadata."""
    return not (type_ == "table" and name is not None and name.startswith("procrastinate_"))


def include_object(
    _object: Any, name: str | None, type_: str, _reflected: bool, _compare_to: Any
) -> bool:
    """Whether alembic should compare it with the models."""
    return is_ours(name, type_, None)


def _config(database_url: str | None = None) -> Config:
    config = Config()
    # alembic's parser reads % as the beginning of a variable.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["database_url"] = database_url
    return config


@functools.cache
def head_revision() -> str | None:
    """The newest revision that this code knows. Cached, because the files do not change while it runs."""
    return ScriptDirectory.from_config(_config()).get_current_head()


@functools.cache
def known_revisions() -> frozenset[str]:
    """Every revision that this code knows."""
    script = ScriptDirectory.from_config(_config())
    return frozenset(revision.revision for revision in script.walk_revisions())


def current_revisions(database_url: str) -> tuple[str, ...]:
    """The revisions of the database: one, or none before the first migration."""
    with migration_engine(database_url).connect() as connection:
        return MigrationContext.configure(connection).get_current_heads()


def upgrade(database_url: str) -> None:
    """Migrate the database to the newest revision, then that of each add-on. Does nothing if it is there."""
    command.upgrade(_config(database_url), "head")
    for name, package in _packages_of_add_ons().items():
        command.upgrade(_config_of(name, package, database_url), "head")


def remove_add_on(database_url: str, name: str) -> None:
    """Undo all revisions of this add-on.

    :raises KeyError: no installed add-on of this name has revisions
    """
    package = _packages_of_add_ons()[name]
    command.downgrade(_config_of(name, package, database_url), "base")


@functools.cache
def heads_of_add_ons() -> dict[str, str | None]:
    """The newest revision of each add-on that has some, by its version table. Cached like ours."""
    configs = [_config_of(name, package) for name, package in _packages_of_add_ons().items()]
    return {
        config.attributes["version_table"]: ScriptDirectory.from_config(config).get_current_head()
        for config in configs
    }


def _packages_of_add_ons() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group=MIGRATIONS_GROUP)}


def _config_of(name: str, package: str, database_url: str | None = None) -> Config:
    config = _config(database_url)
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(resources.files(package)).replace("%", "%%"))
    config.attributes["version_table"] = f"{name}_version"
    return config
