"""The schema's revisions: which the code knows, which the database has, and how to get there."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine


def migrations_folder() -> Path:
    """The folder of the revisions; in a checkout it is a link to ``alembic/``."""
    return Path(__file__).parent.parent / "migrations"


def is_ours(name: str | None, type_: str, _parents: Any) -> bool:
    """Whether alembic should look at it at all: Procrastinate's tables are not in our metadata."""
    return not (type_ == "table" and name is not None and name.startswith("procrastinate_"))


def include_object(
    _object: Any, name: str | None, type_: str, _reflected: bool, _compare_to: Any
) -> bool:
    """Whether alembic should compare it with the models."""
    return is_ours(name, type_, None)


def _config(database_url: str | None = None) -> Config:
    config = Config()
    # alembic's own parser takes % for the beginning of a variable.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["database_url"] = database_url
    return config


@functools.cache
def head_revision() -> str | None:
    """The newest revision that this code knows. Read once: files do not change under a process."""
    return ScriptDirectory.from_config(_config()).get_current_head()


@functools.cache
def known_revisions() -> frozenset[str]:
    """Every revision that this code knows."""
    script = ScriptDirectory.from_config(_config())
    return frozenset(revision.revision for revision in script.walk_revisions())


def current_revisions(database_url: str) -> tuple[str, ...]:
    """The revisions that the database is at: one, or none before the first migration."""
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_heads()


def upgrade(database_url: str) -> None:
    """Bring the database to the newest revision; does nothing if it is there."""
    command.upgrade(_config(database_url), "head")
