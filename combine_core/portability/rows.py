"""Encodes, decodes and inserts the rows of a project, in the order in which an import stores them.

This is the only list of the exported tables. A row can refer only to rows in the same file, so that an import
cannot reach the rows of another project.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    Text,
    Uuid,
    insert,
    select,
)
from sqlalchemy import Table as DatabaseTable
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from combine_core.comments.model import Comment
from combine_core.database import Model
from combine_core.documents import Document, DocumentVersion, VersionInput
from combine_core.documents.model import StaleAcknowledgement
from combine_core.portability.archive import InvalidArchive
from combine_core.register.model import Change, Item, Saying
from combine_core.runs import Call, Run, RunSource, Step
from combine_core.sources import Source, SourceRevision

_Type = TypeVar("_Type")

PEOPLE, LINES, REVIEWS = "people", "lines", "reviews"
# The namespace of the keys of rows without an id.
_KEYS = uuid.UUID("6f0b8a52-1f0c-5d0e-9d55-6f1b1f6f5a0e")


@dataclass(frozen=True)
class Table:
    """A table whose rows are exported.

    :ivar references: the columns that refer to another table of the file, with the names of these tables
    :ivar excluded: the columns that are meaningful only in their own database
    :ivar parent: the column that refers to the enclosing row; ``None`` for a table of its own
    :ivar inner: the tables whose rows are nested in the rows of this table
    :ivar batch_size: the number of rows that an export reads at once
    """

    model: type[Model]
    references: Mapping[str, str] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()
    parent: str | None = None
    inner: tuple[Table, ...] = ()
    batch_size: int = 100

    @property
    def table(self) -> DatabaseTable:
        return Model.metadata.tables[self.model.__tablename__]

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def columns(self) -> list[Column[Any]]:
        """The exported columns, without those of the project and the parent, which are implied."""
        implied = self.excluded | {"project_id", self.parent}
        return [column for column in self.table.columns if column.name not in implied]

    @property
    def people(self) -> frozenset[str]:
        """The columns that refer to a user."""
        return frozenset(
            column.name
            for column in self.table.columns
            if any(key.target_fullname == "users.id" for key in column.foreign_keys)
        )

    def of_project(self, project_id: uuid.UUID) -> Select[Any]:
        """Select the rows of a project, oldest first."""
        rows = select(*self.table.columns)
        if "project_id" in self.table.c:
            rows = rows.where(self.table.c.project_id == project_id)
        else:
            column, target = next(iter(self.references.items()))
            owner = TABLES[target].table
            rows = rows.join(owner, owner.c.id == self.table.c[column]).where(
                owner.c.project_id == project_id
            )
        return rows.order_by(self.table.c.id)


def _inner(model: type[Model], parent: str, **references: str) -> Table:
    return Table(model, references, parent=parent)


# Lines are not listed as references, because their name and hash identify them; nor are the sources of
# versions, which may be deleted.
_ALL = (
    Table(Source, excluded=frozenset({"indexed_revision"}), batch_size=1),
    Table(SourceRevision, {"source_id": "sources"}, batch_size=1),
    Table(Run, inner=(_inner(RunSource, "run_id", source_id="sources"),)),
    Table(Step, {"run_id": "runs"}, frozenset({"job_id"}), batch_size=20),
    Table(Call, {"run_id": "runs", "step_id": "steps"}, batch_size=20),
    Table(
        Document,
        excluded=frozenset({"indexed_version"}),
        inner=(_inner(StaleAcknowledgement, "document_id"),),
    ),
    Table(
        DocumentVersion,
        {"document_id": "documents", "run_id": "runs"},
        inner=(_inner(VersionInput, "version_id"),),
        batch_size=10,
    ),
    Table(Comment, {"document_id": "documents", "version_id": "document_versions"}),
    Table(
        Item,
        inner=(
            _inner(Saying, "item_id", version_id="document_versions"),
            _inner(Change, "item_id"),
        ),
    ),
)
TABLES: Mapping[str, Table] = {table.name: table for table in _ALL}
MEMBERS = frozenset({*TABLES, PEOPLE, LINES, REVIEWS})


def columns_of(model: type[Model]) -> dict[str, Column[Any]]:
    return {column.name: column for column in Model.metadata.tables[model.__tablename__].columns}


def key_of(table: Table, row: Mapping[str, Any]) -> uuid.UUID:
    """Return the id of a row, or an id that is derived from its key if it has none."""
    if "id" in row:
        key: uuid.UUID = row["id"]
        return key
    parts = (str(row[column.name]) for column in table.table.primary_key.columns)
    return uuid.uuid5(_KEYS, "\n".join((table.name, *parts)))


def encode(value: Any) -> Any:
    match value:
        case uuid.UUID() | decimal.Decimal():
            return str(value)
        case datetime.datetime():
            return value.astimezone(datetime.UTC).isoformat()
        case datetime.date():
            return value.isoformat()
        case list():
            return [encode(each) for each in value]
        case bytes() | memoryview():
            return base64.b64encode(value).decode("ascii")
        case _:
            return value


def decode(column: Column[Any], value: Any, where: str) -> Any:
    """Decode the value of a column.

    :param where: the location of the value, for messages
    :raises InvalidArchive: the value has another type
    """
    if value is None:
        if column.nullable:
            return None
        raise _unusable(column, where)
    try:
        return _decoded(column.type, value)
    except (
        ValueError,
        TypeError,
        OverflowError,
        binascii.Error,
        decimal.InvalidOperation,
    ) as error:
        raise _unusable(column, where) from error


def _unusable(column: Column[Any], where: str) -> InvalidArchive:
    return InvalidArchive(f"{where} has no usable {column.name}. Export the project again.")


def _decoded(kind: Any, value: Any) -> Any:
    match kind:
        case Uuid():
            return uuid.UUID(_of_type(value, str))
        case DateTime():
            moment = datetime.datetime.fromisoformat(_of_type(value, str))
            return moment.astimezone(datetime.UTC) if moment.tzinfo else _reject()
        case Date():
            return datetime.date.fromisoformat(_of_type(value, str))
        case Numeric():
            number = decimal.Decimal(_of_type(value, str))
            return number if number.is_finite() and 0 <= number < 10**8 else _reject()
        case Boolean():
            return _of_type(value, bool)
        case Integer():
            whole = _of_type(value, int)
            return whole if 0 <= whole < 2**31 else _reject()
        case LargeBinary():
            return base64.b64decode(_of_type(value, str), validate=True)
        case ARRAY():
            return [_decoded(kind.item_type, each) for each in _of_type(value, list)]
        case Text():
            return _of_type(value, str)
        case JSON():
            return value
    raise AssertionError(f"Columns of the type {kind!r} cannot be imported")


def _of_type(value: Any, kind: type[_Type]) -> _Type:
    if type(value) is not kind:
        raise TypeError
    return value


def _reject() -> Any:
    raise ValueError


class Batch:
    """A batch of rows, in which referenced rows are inserted before the rows that refer to them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        self._order = [table.name for table in Model.metadata.sorted_tables]

    def add(self, model: type[Model], row: dict[str, Any]) -> None:
        # Without None, which would become the JSON value null in a column of JSON.
        row = {name: value for name, value in row.items() if value is not None}
        self._rows.setdefault((model.__tablename__, *row), []).append(row)

    def flush(self, *, at_least: int = 0) -> None:
        """Insert the rows, unless there are fewer than ``at_least``."""
        if sum(map(len, self._rows.values())) < at_least:
            return
        for key in sorted(self._rows, key=lambda key: self._order.index(key[0])):
            self._session.execute(insert(Model.metadata.tables[key[0]]), self._rows[key])
        self._rows = {}
