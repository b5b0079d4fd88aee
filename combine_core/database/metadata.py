"""The declarative class of all tables, its naming convention and its column types."""

from __future__ import annotations

import datetime
import uuid
from importlib.metadata import entry_points
from typing import Any, ClassVar

import uuid_utils.compat
from sqlalchemy import JSON, DateTime, MetaData, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, configure_mappers, mapped_column

# Without names of our own, PostgreSQL chooses them and a later migration cannot drop what it cannot name.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


# Modules that declare tables, by add-on; importing them fills the metadata.
MODELS_GROUP = "combine.models"


def load_models() -> MetaData:
    """Import the models of every installed add-on, and check that they fit each other.

    Every process that maps tables calls this before its first session (:func:`make_sessions` does) or
    migration: a row can only be written when the tables that its foreign keys name are known.

    :raises sqlalchemy.exc.SQLAlchemyError: a relationship or a foreign key leads nowhere
    """
    for entry_point in entry_points(group=MODELS_GROUP):
        entry_point.load()
    configure_mappers()
    # Sorting follows every foreign key, so one that leads nowhere is found now, not at the first row.
    assert Model.metadata.sorted_tables
    return Model.metadata


def new_id() -> uuid.UUID:
    """A key that sorts by time and says nothing about how many there are (UUID version 7, RFC 9562)."""
    return uuid_utils.compat.uuid7()


class Model(DeclarativeBase):
    """What every table shares: types and names."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime.datetime: DateTime(timezone=True),
        # Not JSONB, which forgets the order of keys: the sections of a document have one.
        dict[str, Any]: JSON,
    }


class Identified:
    """A row with a key of its own, and the time it was made (database clock)."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-2)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now(), sort_order=-1)


class Undo(Model):
    """How one applied revision is undone."""

    __tablename__ = "schema_undo"

    revision: Mapped[str] = mapped_column(primary_key=True)
    down_revision: Mapped[str | None]
    title: Mapped[str]
    statements: Mapped[str]
