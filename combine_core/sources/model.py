"""The tables of sources and their other revisions."""

from __future__ import annotations

import datetime
import uuid
from enum import StrEnum

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database.metadata import Identified, Model


class ReadingState(StrEnum):
    """The state of reading a file, which a worker does (:mod:`combine_core.sources.reading`)."""

    READING = "reading"
    READY = "ready"
    FAILED = "failed"


class Content:
    """The columns of one revision. Until it is read, the text is empty, and hash and size are the file's."""

    media_type: Mapped[str]
    # Loaded only on demand, because a list of sources must not load megabytes.
    text: Mapped[str] = mapped_column(deferred=True, deferred_raiseload=True)
    # The output of combine_core.readers.blocks_as_json; NULL for Markdown and plain text.
    blocks: Mapped[str | None] = mapped_column(deferred=True, deferred_raiseload=True)
    # The bytes of the file, unless they are those of the text.
    original: Mapped[bytes | None] = mapped_column(deferred=True, deferred_raiseload=True)
    # Sentences of the reader about the file.
    notes: Mapped[list[str] | None] = mapped_column(JSON)
    # Identifies the same file; NULL for a pasted text.
    file_sha256: Mapped[str | None]
    sha256: Mapped[str]
    size: Mapped[int]
    line_count: Mapped[int]


class Source(Identified, Content, Model):
    """Raw material in a project, with the content of its newest revision.

    The content of a revision never changes, because evidence refers to its lines. Earlier and unread
    revisions are in ``source_revisions``.
    """

    __tablename__ = "sources"

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    # The number of the newest revision that has been read, or 0.
    revision: Mapped[int] = mapped_column(default=1, server_default="1")
    # The revision in the search index, or 0. See combine_core.search.indexing.
    indexed_revision: Mapped[int] = mapped_column(default=0, server_default="0")
    # ``failed`` only if no revision could be read.
    state: Mapped[str] = mapped_column(default=ReadingState.READY, server_default="ready")
    # The reason why the newest file could not be read.
    error: Mapped[str | None]
    # NULL if the user was deleted.
    created_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    # The time and the user of the newest revision; NULL if it was added with the source.
    revised_at: Mapped[datetime.datetime | None]
    revised_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )

    __table_args__ = (
        Index("ix_sources_project_id_id", "project_id", "id"),
        Index("ix_sources_project_id_name_id", "project_id", "name", "id"),
        Index(
            "ix_sources_not_indexed",
            "project_id",
            postgresql_where=text("indexed_revision <> revision"),
        ),
    )


class SourceRevision(Identified, Content, Model):
    """A revision of a source that is not the newest, is not read yet, or could not be read."""

    __tablename__ = "source_revisions"

    source_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sources.id", ondelete="CASCADE"))
    number: Mapped[int]
    # The extension selects the reader.
    file_name: Mapped[str]
    state: Mapped[str]
    error: Mapped[str | None]
    # The number of times that a worker has begun to read it.
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    created_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )

    __table_args__ = (
        UniqueConstraint("source_id", "number"),
        CheckConstraint("state IN ('reading', 'ready', 'failed')", name="state"),
        Index("ix_source_revisions_reading", "id", postgresql_where=text("state = 'reading'")),
    )
