"""The base class of all tables with its naming convention and column types, and two internal tables."""

from __future__ import annotations

import datetime
import functools
import uuid
from collections.abc import Iterable
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Any, ClassVar

import uuid_utils.compat
from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    MetaData,
    Table,
    Text,
    delete,
    func,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, configure_mappers, mapped_column

# Without these names PostgreSQL chooses them, and a later migration does not know which name to drop.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
# The entry points of the modules that declare tables. Importing them fills the metadata.
MODELS_GROUP = "combine.models"
# The number of expired rows that one transaction deletes from a table.
ROWS_AT_ONCE = 100
_EXPIRED = "combine_core.database.expired"


@functools.cache
def load_models() -> MetaData:
    """Import the models of every installed add-on, and check their references to each other.

    Call this before the first session (:func:`make_sessions` does) or migration of a process: a row can be
    written only when the tables of its foreign keys are known.

    :raises sqlalchemy.exc.SQLAlchemyError: the target of a relationship or of a foreign key is missing
    """
    for entry_point in entry_points(group=MODELS_GROUP):
        entry_point.load()
    configure_mappers()
    # Sorting follows every foreign key, so it reveals a missing target now instead of at the first row.
    assert Model.metadata.sorted_tables
    return Model.metadata


def new_id() -> uuid.UUID:
    """Return a key that sorts by time and does not reveal the number of rows (UUID version 7, RFC 9562)."""
    return uuid_utils.compat.uuid7()


def one_of(column: str, values: Iterable[StrEnum]) -> CheckConstraint:
    """Return the constraint that a column contains one of these values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class Model(DeclarativeBase):
    """The base class of all tables."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime.datetime: DateTime(timezone=True),
        # Not JSONB, which loses the order of keys, for example of the sections of a document.
        dict[str, Any]: JSON,
    }


class Identified:
    """A mixin with columns for a generated key and the time of creation (database clock)."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-2)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now(), sort_order=-1)


def is_ours(name: str | None, type_: str, _parents: Any) -> bool:
    """Check whether an object belongs to Combine and not to Procrastinate, whose tables alembic skips."""
    return not (type_ == "table" and name is not None and name.startswith("procrastinate_"))


class Undo(Model):
    """The statements that undo an applied revision of the schema; see :mod:`combine_core.database.undo`."""

    __tablename__ = "schema_undo"

    revision: Mapped[str] = mapped_column(primary_key=True)
    down_revision: Mapped[str | None]
    title: Mapped[str]
    statements: Mapped[str]


# The table that the health check writes to; see :mod:`combine_core.postgres.diagnosis.watch`.
Table("health_writes", Model.metadata, Column("filling", Text, nullable=False))


def delete_expired(
    session: Session, table: type[Identified], *conditions: ColumnElement[bool]
) -> None:
    """Delete up to ``ROWS_AT_ONCE`` rows that meet all conditions, once per transaction and table.

    Services call it whenever they add a row, so that no table grows without limit.

    Rows that another transaction has locked are skipped, because it deletes them or still uses them.
    """
    session.connection()
    transaction = session.get_transaction()
    done = session.info.setdefault(_EXPIRED, {})
    if done.get(table) is transaction:
        return
    done[table] = transaction
    expired = (
        select(table.id).where(*conditions).limit(ROWS_AT_ONCE).with_for_update(skip_locked=True)
    )
    # A CTE is read once. PostgreSQL may read a subquery once for each row, and each time get further rows.
    session.execute(
        delete(table)
        .where(table.id.in_(select(expired.cte().c.id)))
        .execution_options(synchronize_session=False)
    )
