"""The rows of a project as JSON objects, in the order in which an import stores them.

A table is listed once, here. What a row refers to has to be in the same file, so that no import reaches what
belongs to another project.
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
    select,
)
from sqlalchemy import Table as DatabaseTable
from sqlalchemy.dialects.postgresql import ARRAY

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
# Of rows that have no id.
_KEYS = uuid.UUID("6f0b8a52-1f0c-5d0e-9d55-6f1b1f6f5a0e")


@dataclass(frozen=True)
class Table:
    """A table whose rows go along.

    :ivar references: the columns that name a row of another table of the file, and these tables
    :ivar left_out: columns that mean something in their own database alone
    :ivar parent: the column that names the row in which these rows stand; ``None``: they stand alone
    :ivar inner: the tables whose rows stand in the rows of this one
    :ivar at_once: rows that an export reads at once
    """

    model: type[Model]
    references: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    parent: str | None = None
    inner: tuple[Table, ...] = ()
    at_once: int = 100

    @property
    def table(self) -> DatabaseTable:
        return Model.metadata.tables[self.model.__tablename__]

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def columns(self) -> list[Column[Any]]:
        """The columns that go along. The project and the parent follow from the place of the row."""
        hidden = self.left_out | {"project_id", self.parent}
        return [column for column in self.table.columns if column.name not in hidden]

    @property
    def people(self) -> frozenset[str]:
        """The columns that name a user."""
        return frozenset(
            column.name
            for column in self.table.columns
            if any(key.target_fullname == "users.id" for key in column.foreign_keys)
        )

    def of_project(self, project_id: uuid.UUID) -> Select[Any]:
        """The rows of a project, oldest first."""
        chosen = select(*self.table.columns)
        if "project_id" in self.table.c:
            chosen = chosen.where(self.table.c.project_id == project_id)
        else:
            column, target = next(iter(self.references.items()))
            owner = TABLES[target].table
            chosen = chosen.join(owner, owner.c.id == self.table.c[column]).where(
                owner.c.project_id == project_id
            )
        return chosen.order_by(self.table.c.id)


def _inner(model: type[Model], parent: str, **references: str) -> Table:
    return Table(model, references, parent=parent)


# The line of a run or of a version is known by its name and hash; sources of versions may be deleted.
_ALL = (
    Table(Source, left_out=frozenset({"indexed_revision"}), at_once=1),
    Table(SourceRevision, {"source_id": "sources"}, at_once=1),
    Table(Run, inner=(_inner(RunSource, "run_id", source_id="sources"),)),
    Table(Step, {"run_id": "runs"}, frozenset({"job_id"}), at_once=20),
    Table(Call, {"run_id": "runs", "step_id": "steps"}, at_once=20),
    Table(
        Document,
        left_out=frozenset({"indexed_version"}),
        inner=(_inner(StaleAcknowledgement, "document_id"),),
    ),
    Table(
        DocumentVersion,
        {"document_id": "documents", "run_id": "runs"},
        inner=(_inner(VersionInput, "version_id"),),
        at_once=10,
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
    """The columns of a table by their names."""
    return {column.name: column for column in Model.metadata.tables[model.__tablename__].columns}


def key_of(table: Table, row: Mapping[str, Any]) -> uuid.UUID:
    """The id of a row; made from its key if it has none."""
    if "id" in row:
        key: uuid.UUID = row["id"]
        return key
    parts = (str(row[column.name]) for column in table.table.primary_key.columns)
    return uuid.uuid5(_KEYS, "\n".join((table.name, *parts)))


def encode(value: Any) -> Any:
    """A value of a column as JSON has it."""
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
    """The value of a column.

    :raises InvalidArchive: it is of another type
    """
    if value is None:
        if column.nullable:
            return None
        raise _wrong(column, where)
    try:
        return _decoded(column.type, value)
    except (
        ValueError,
        TypeError,
        OverflowError,
        binascii.Error,
        decimal.InvalidOperation,
    ) as error:
        raise _wrong(column, where) from error


def _wrong(column: Column[Any], where: str) -> InvalidArchive:
    return InvalidArchive(f"{where} has no usable {column.name}. Export the project again.")


def _decoded(kind: Any, value: Any) -> Any:
    match kind:
        case Uuid():
            return uuid.UUID(_of_type(value, str))
        case DateTime():
            moment = datetime.datetime.fromisoformat(_of_type(value, str))
            return moment.astimezone(datetime.UTC) if moment.tzinfo else _refuse()
        case Date():
            return datetime.date.fromisoformat(_of_type(value, str))
        case Numeric():
            number = decimal.Decimal(_of_type(value, str))
            return number if number.is_finite() and 0 <= number < 10**8 else _refuse()
        case Boolean():
            return _of_type(value, bool)
        case Integer():
            whole = _of_type(value, int)
            return whole if 0 <= whole < 2**31 else _refuse()
        case LargeBinary():
            return base64.b64decode(_of_type(value, str), validate=True)
        case ARRAY():
            return [_decoded(kind.item_type, each) for each in _of_type(value, list)]
        case Text():
            return _of_type(value, str)
        case JSON():
            return value
    raise AssertionError(f"No export has a column of the type {kind!r}")


def _of_type(value: Any, kind: type[_Type]) -> _Type:
    if type(value) is not kind:
        raise TypeError
    return value


def _refuse() -> Any:
    raise ValueError
