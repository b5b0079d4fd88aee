"""Stores the SQL that undoes each revision in the database, for older code without the file of that revision.

The runbook's rollback runs ``alembic downgrade -1`` from the *previous* checkout, in which the newest
revision does not exist. Therefore an upgrade stores the downgrade of each revision in the table
``schema_undo`` (:func:`record_undo`). In an older checkout, ``alembic/env.py`` loads the unknown revisions
from this table into alembic's map (:func:`add_unknown`). Then alembic can run ``current``, ``upgrade head``,
``downgrade -1`` and ``downgrade REVISION``.

The table contains exactly the applied revisions. A downgrade that needs more than SQL is rejected when its
upgrade is applied, and by a test before that.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NoReturn

from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Dialect, delete, select, text
from sqlalchemy.dialects.postgresql import insert, psycopg2

from combine_core.database.metadata import Undo
from combine_core.database.revisions import (
    TABLE,
    TABLE_EXISTS,
    UnknownHistoryError,
    unknown_ancestry,
)

logger = logging.getLogger(__name__)


class CannotUndoError(CommandError):
    """A downgrade that needs more than SQL. The message names the necessary change."""


def add_unknown(connection: Connection, script: ScriptDirectory, current: Iterable[str]) -> None:
    """Add the applied revisions without a file to alembic's map, from the stored rows.

    :param current: the revisions of the database
    :raises CommandError: the stored rows do not lead to a known revision
    """
    known = [revision.revision for revision in script.walk_revisions()]
    unknown = [revision for revision in current if revision not in known]
    if not unknown:
        return
    stored = {row.revision: row for row in _rows(connection)}
    parents = {row.revision: row.down_revision for row in stored.values()}
    for revision_of_database in unknown:
        try:
            ancestry = unknown_ancestry(revision_of_database, known, parents)
        except UnknownHistoryError as error:
            raise CommandError(str(error)) from error
        logger.warning(
            "The database is at revision %s, ahead of this code, which knows %s; %s can be undone:"
            " alembic downgrade -1",
            revision_of_database,
            script.get_current_head(),
            ", ".join(ancestry),
        )
        # Oldest first, because alembic needs the parent of each revision first.
        for revision in reversed(ancestry):
            if revision not in script.revision_map._revision_map:  # noqa: SLF001
                script.revision_map.add_revision(_script(stored[revision]))


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of the table ``schema_undo``."""

    revision: str
    down_revision: str | None
    title: str
    statements: str


def _rows(connection: Connection) -> list[Stored]:
    if not connection.execute(text(TABLE_EXISTS)).scalar_one():
        return []
    columns = (Undo.revision, Undo.down_revision, Undo.title, Undo.statements)
    return [Stored(*row) for row in connection.execute(select(*columns))]


def _script(stored: Stored) -> Script:
    """Create a revision from its row, like alembic does from a file."""
    module = ModuleType(f"undo_{stored.revision}", stored.title)

    def upgrade() -> NoReturn:
        raise CommandError(
            f"The file of revision {stored.revision} is not in this checkout. Upgrade from a newer one."
        )

    def downgrade() -> None:
        # The driver's cursor, because SQLAlchemy would parse % and : in the text as parameters.
        raw = op.get_bind().connection
        cursor = raw.cursor()
        cursor.execute(stored.statements)
        cursor.close()

    vars(module).update(
        revision=stored.revision,
        down_revision=stored.down_revision,
        branch_labels=None,
        depends_on=None,
        upgrade=upgrade,
        downgrade=downgrade,
    )
    return Script(module, stored.revision, f"(table {TABLE})")


class _Recorder(MigrationContext):
    """A migration context that records the statements of a downgrade instead of executing them."""

    def __init__(self) -> None:
        self._output = io.StringIO()
        # "named" does not escape %, and the stored text never gets parameters.
        dialect: Dialect = psycopg2.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
        super().__init__(dialect, None, {"as_sql": True, "output_buffer": self._output})

    def take(self) -> str:
        """Return the statements since the last call."""
        written = self._output.getvalue()
        self._output.seek(0)
        self._output.truncate()
        return written

    def autocommit_block(self) -> NoReturn:
        raise CannotUndoError("it leaves its transaction (autocommit_block)")


def render(script: Script, recorder: _Recorder | None = None) -> str:
    """Render the downgrade of a revision as SQL. Must not run during a migration, which shares ``op``.

    :raises CannotUndoError: the downgrade reads data, leaves its transaction, fails, or does nothing
    """
    recorder = recorder or _Recorder()
    try:
        if not isinstance(script.down_revision, str | None) or script.dependencies:
            raise CannotUndoError("it has more than one parent")
        with Operations.context(recorder):
            script.module.downgrade()
    except Exception as error:
        message = (
            f"The downgrade of revision {script.revision} cannot be rendered as SQL: {error}. Use only"
            " statements that need no data from the database (a DO block can read data), so that an older"
            " version can undo it."
        )
        recorder.take()
        raise CannotUndoError(message) from error
    statements = recorder.take()
    if not statements.strip():
        message = (
            f"The downgrade of revision {script.revision} does nothing. Write one that undoes it."
        )
        raise CannotUndoError(message)
    return statements


def record_undo(connection: Connection, script: ScriptDirectory) -> Callable[..., None]:
    """Return a callback for alembic's ``on_version_apply``, which runs in the transaction of each revision.

    The callback makes the table match the applied revisions. Call this function before migrations run.
    """
    stored = {row.revision for row in _rows(connection)}
    missing = [one for one in script.walk_revisions() if one.revision not in stored]
    recorder = _Recorder() if missing else None
    rendered = {one.revision: _rendered(one, recorder) for one in missing}

    def on_version_apply(*, ctx: MigrationContext, heads: Iterable[str], **_: Any) -> None:
        bind = ctx.connection
        assert bind is not None
        if not bind.execute(text(TABLE_EXISTS)).scalar_one():
            return
        applied = [one.revision for one in script.iterate_revisions(tuple(heads), "base")]
        bind.execute(delete(Undo).where(Undo.revision.not_in(applied)))
        for revision in applied:
            row = rendered.get(revision)
            if isinstance(row, CannotUndoError):
                raise row
            if row is not None:
                values = {name: getattr(row, name) for name in Stored.__slots__}
                bind.execute(insert(Undo).values(values).on_conflict_do_nothing())

    return on_version_apply


def _rendered(script: Script, recorder: _Recorder | None) -> Stored | CannotUndoError:
    try:
        statements = render(script, recorder)
    except CannotUndoError as error:
        # The error matters only if this revision is applied.
        return error
    assert script.down_revision is None or isinstance(script.down_revision, str)
    return Stored(script.revision, script.down_revision, script.doc, statements)
