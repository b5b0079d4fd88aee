"""Defines the tables of the register: its items, the statements that mention them, and their history."""

from __future__ import annotations

import datetime
import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, Uuid
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from combine_core.database.metadata import Identified, Model, one_of
from combine_core.documents.model import DocumentVersion
from combine_core.users import User


class ItemKind(StrEnum):
    """The kind of an item."""

    DECISION = "decision"
    ACTION = "action"
    QUESTION = "question"


class ItemState(StrEnum):
    """The state of an item."""

    OPEN = "open"
    DONE = "done"
    DROPPED = "dropped"


class Event(StrEnum):
    """A kind of change in the history of an item."""

    ENTERED = "entered"
    CHANGED = "changed"
    # A person decided that another item is the same, and it was merged into this one; or that it differs.
    JOINED = "joined"
    KEPT_APART = "kept_apart"
    # A person accepted or declined the contradicting values of a later statement.
    ACCEPTED = "accepted"
    DECLINED = "declined"


class Saying(Identified, Model):
    """A statement of an approved version that mentions an item."""

    __tablename__ = "register_sayings"

    item_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("register_items.id", ondelete="CASCADE"), index=True
    )
    # NULL: the version was deleted.
    version_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("document_versions.id", ondelete="SET NULL"), index=True
    )
    # The JSON Pointer to the statement in the version (RFC 6901).
    pointer: Mapped[str]
    text: Mapped[str]
    owner: Mapped[str | None]
    due: Mapped[str | None]
    # The day that `due` names, if there is one.
    due_on: Mapped[datetime.date | None]
    # The ids of the sources that the statement quotes.
    sources: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid))
    # The fields that contradict the item or its possible duplicate. Empty: settled.
    contradicts: Mapped[list[str]] = mapped_column(ARRAY(Text))

    version: Mapped[DocumentVersion | None] = relationship(lazy="raise", viewonly=True)

    __table_args__ = (
        Index("ix_register_sayings_sources", "sources", postgresql_using="gin"),
        Index(
            "ix_register_sayings_contradicting",
            "item_id",
            postgresql_where=sql("cardinality(contradicts) > 0"),
        ),
    )


class Change(Identified, Model):
    """A change in the history of an item. Rows are never changed."""

    __tablename__ = "register_changes"

    item_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("register_items.id", ondelete="CASCADE"), index=True
    )
    # NULL: the user was deleted.
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    event: Mapped[str]
    # The old and the new value of each changed field.
    changes: Mapped[dict[str, Any]]

    user: Mapped[User | None] = relationship(lazy="raise", viewonly=True)

    __table_args__ = (one_of("event", Event),)


class Item(Identified, Model):
    """A decision, an action or an open question of a project."""

    __tablename__ = "register_items"

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    kind: Mapped[str]
    text: Mapped[str]
    owner: Mapped[str | None]
    # The due date in words or as a date, and the day that it names.
    due: Mapped[str | None]
    due_on: Mapped[datetime.date | None]
    state: Mapped[str] = mapped_column(default=ItemState.OPEN)
    # The item that this one may duplicate, until a person has decided.
    same_as_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("register_items.id", ondelete="SET NULL"), index=True
    )

    same_as: Mapped[Item | None] = relationship(
        lazy="raise", viewonly=True, remote_side="Item.id", foreign_keys=[same_as_id]
    )
    sayings: Mapped[list[Saying]] = relationship(lazy="raise", viewonly=True, order_by=Saying.id)
    history: Mapped[list[Change]] = relationship(lazy="raise", viewonly=True, order_by=Change.id)

    __table_args__ = (
        one_of("kind", ItemKind),
        one_of("state", ItemState),
        Index("ix_register_items_project_id_id", "project_id", "id"),
    )
