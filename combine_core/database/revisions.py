"""Reads the revisions of the schema from their files, without alembic.

A web process only compares the revisions with the database, and alembic with its dependencies would take
11 MB of its memory. The revisions of an add-on are a separate history with a version table of its own, named
after the add-on (``NAME_version``). So Combine keeps a single head, and a rollback of Combine does not affect
add-ons.
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

# The packages of add-ons that contain revisions. The entry point has the name of the add-on.
MIGRATIONS_GROUP = "combine.migrations"

TABLE = Undo.__tablename__
TABLE_EXISTS = f"SELECT to_regclass('{TABLE}') IS NOT NULL"
PARENTS = f"SELECT revision, down_revision FROM {TABLE}"  # noqa: S608 - both are constants

_RESTORE = (
    "Check out the version that migrated the database, or restore a backup that this version made."
)
_NAMES = ("revision", "down_revision")


class UnknownHistoryError(Exception):
    """A database revision from which no known path leads back to a revision of this code."""


def migrations_folder() -> Path:
    """Return the folder of the revisions. In a checkout, it is a link to ``alembic/``."""
    return Path(__file__).parent.parent / "migrations"


def packages_of_add_ons() -> dict[str, str]:
    """Return the packages with the revisions of add-ons, by the name of the add-on."""
    return {point.name: point.value for point in entry_points(group=MIGRATIONS_GROUP)}


def version_table(add_on: str) -> str:
    return f"{add_on}_version"


@functools.cache
def _own_revisions() -> Mapping[str, frozenset[str]]:
    # Read once: an update replaces the files while the process still runs the older code.
    return revisions_in(migrations_folder() / "versions")


def head_revision() -> str | None:
    """Return the newest revision of this code."""
    return newest_of(_own_revisions())


def known_revisions() -> frozenset[str]:
    return frozenset(_own_revisions())


@functools.cache
def heads_of_add_ons() -> dict[str, str | None]:
    """Return the newest revision of each add-on that has revisions, by the name of its version table."""
    return {
        version_table(name): newest_of(revisions_in(resources.files(package)))
        for name, package in packages_of_add_ons().items()
    }


def revisions_in(folder: Traversable) -> dict[str, frozenset[str]]:
    """Return the revisions in a folder, each with its parents."""
    revisions = {}
    for file in folder.iterdir():
        if file.name.endswith(".py"):
            variables = _assignments(file.read_text("utf-8"))
            parents = variables.get("down_revision") or ()
            if "revision" in variables:
                revisions[variables["revision"]] = frozenset(
                    {parents} if isinstance(parents, str) else parents
                )
    return revisions


def _assignments(code: str) -> dict[str, Any]:
    """Parse the variables ``_NAMES`` of a revision file. Executing it would import alembic."""
    variables = {}
    for statement in ast.parse(code).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            if isinstance(target, ast.Name) and target.id in _NAMES:
                variables[target.id] = ast.literal_eval(statement.value)
    return variables


def newest_of(revisions: Mapping[str, frozenset[str]]) -> str | None:
    """Return the head revision, or ``None`` if there are no revisions.

    :raises ValueError: there are several heads
    """
    heads = sorted(set(revisions).difference(*revisions.values()))
    if len(heads) > 1:
        raise ValueError(f"There are several head revisions: {', '.join(heads)}. Merge them.")
    return heads[0] if heads else None


def unknown_ancestry(
    current: str, known: Iterable[str], parents: Mapping[str, str | None]
) -> list[str]:
    """Return the unknown revisions from ``current`` down to a known one, newest first.

    :param known: the revisions whose files exist
    :param parents: the rows of :data:`PARENTS`: each revision with its parent
    :raises UnknownHistoryError: the parents do not lead to a known revision
    """
    known = frozenset(known)
    unknown: list[str] = []
    revision: str | None = current
    while revision not in known:
        if revision is None or revision not in parents or revision in unknown:
            raise UnknownHistoryError(
                f"The database is at revision {current}, which this code does not know, and the table"
                f" {TABLE} does not lead from there to a known revision. {_RESTORE}"
            )
        unknown.append(revision)
        revision = parents[revision]
    return unknown
