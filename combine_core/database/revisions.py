"""The revisions of the schema that this code knows, read from their files without alembic.

A web process compares them with the database, and nothing else: alembic and what it needs would take 11 MB
of its memory. The revisions of an add-on are a history of their own, with a version table of their own: its
name, and ``_version``. So the head of ours stays one, and a rollback of Combine does not touch them.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.metadata import entry_points
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from combine_core.database.metadata import Undo

# The packages of add-ons that hold revisions; the entry point has the name of the add-on.
MIGRATIONS_GROUP = "combine.migrations"

TABLE = Undo.__tablename__
TABLE_EXISTS = f"SELECT to_regclass('{TABLE}') IS NOT NULL"
PARENTS = f"SELECT revision, down_revision FROM {TABLE}"  # noqa: S608 - both are constants

_RESTORE = "Check out the version that the database comes from, or restore a backup that this version made."
_NAMES = ("revision", "down_revision")


class UnknownHistoryError(Exception):
    """No known path leads from the revision of the database back to one of this code."""


def migrations_folder() -> Path:
    """The folder of the revisions. In a checkout it is a link to ``alembic/``."""
    return Path(__file__).parent.parent / "migrations"


def packages_of_add_ons() -> dict[str, str]:
    """The package with the revisions of each add-on that has some."""
    return {point.name: point.value for point in entry_points(group=MIGRATIONS_GROUP)}


def version_table(add_on: str) -> str:
    """The table with the revision of an add-on."""
    return f"{add_on}_version"


@functools.cache
def head_revision() -> str | None:
    """The newest revision that this code knows. Cached, because the files do not change while it runs."""
    return newest_of(revisions_in(migrations_folder() / "versions"))


@functools.cache
def known_revisions() -> frozenset[str]:
    """Every revision that this code knows."""
    return frozenset(revisions_in(migrations_folder() / "versions"))


@functools.cache
def heads_of_add_ons() -> dict[str, str | None]:
    """The newest revision of each add-on that has some, by its version table. Cached like ours."""
    return {
        version_table(name): newest_of(revisions_in(resources.files(package)))
        for name, package in packages_of_add_ons().items()
    }


def revisions_in(folder: Traversable) -> dict[str, frozenset[str]]:
    """The revisions in a folder, each with those before it."""
    found = {}
    for file in folder.iterdir():
        if file.name.endswith(".py"):
            said = _assigned(file.read_text("utf-8"))
            before = said.get("down_revision") or ()
            if "revision" in said:
                found[said["revision"]] = frozenset({before} if isinstance(before, str) else before)
    return found


def _assigned(text: str) -> dict[str, Any]:
    """What a file says of its revision. It is not executed: it would import alembic."""
    found = {}
    for line in ast.parse(text).body:
        if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
            target = line.targets[0] if isinstance(line, ast.Assign) else line.target
            if isinstance(target, ast.Name) and target.id in _NAMES:
                found[target.id] = ast.literal_eval(line.value)
    return found


def newest_of(revisions: Mapping[str, frozenset[str]]) -> str | None:
    """The one that has none after it; ``None``: there is no revision. Raises ValueError for several."""
    heads = sorted(set(revisions).difference(*revisions.values()))
    if len(heads) > 1:
        raise ValueError(f"Several revisions have none after them: {', '.join(heads)}. Merge them.")
    return heads[0] if heads else None


def ways_back(current: str, known: Iterable[str], parents: Mapping[str, str | None]) -> list[str]:
    """The unknown revisions from ``current`` down to a known one, newest first; empty if it is known.

    :param known: the revisions whose files exist
    :param parents: the rows of :data:`PARENTS`: each revision and the one before it
    :raises UnknownHistoryError: they do not lead to a known revision
    """
    known = frozenset(known)
    way: list[str] = []
    revision: str | None = current
    while revision not in known:
        if revision is None or revision not in parents or revision in way:
            raise UnknownHistoryError(
                f"The database is at revision {current}, which this code does not know, and the table"
                f" {TABLE} does not lead from there to one it knows. {_RESTORE}"
            )
        way.append(revision)
        revision = parents[revision]
    return way
