"""Defines the table of the search index."""

from __future__ import annotations

import uuid
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database.metadata import Identified, Model


class EntryKind(StrEnum):
    """The origin of an entry."""

    SOURCE = "source"
    STATEMENT = "statement"


class SearchEntry(Identified, Model):
    """An entry of the search index: some lines of a source, or a statement of a document."""

    __tablename__ = "search_entries"

    # No foreign key: an entry is deleted with its source or version, which are deleted with the project.
    project_id: Mapped[uuid.UUID] = mapped_column(index=True)
    source_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("sources.id", ondelete="CASCADE"), index=True
    )
    # The revision of the source, and the first line of the text in it.
    revision: Mapped[int | None]
    line_from: Mapped[int | None]
    version_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("document_versions.id", ondelete="CASCADE"), index=True
    )
    # The JSON Pointer to the statement in the version.
    pointer: Mapped[str | None]
    # The text search configuration of PostgreSQL for the language of the text.
    configuration: Mapped[str]
    text: Mapped[str]
    # The words as written, and their stems.
    words: Mapped[str] = mapped_column(TSVECTOR, deferred=True, deferred_raiseload=True)

    __table_args__ = (
        CheckConstraint("(source_id IS NULL) <> (version_id IS NULL)", name="kind"),
        Index("ix_search_entries_words", "words", postgresql_using="gin"),
    )
