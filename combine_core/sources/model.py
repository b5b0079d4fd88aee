"""The tables of sources and of their other revisions."""

from __future__ import annotations

import datetime
import uuid
from enum import StrEnum

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database.metadata import Identified, Model


class ReadingState(StrEnum):
    """Whether the file of a source has been read. A worker reads it (:mod:`combine_core.sources.reading`)."""

    READING = "reading"
    READY = "ready"
    FAILED = "failed"


class Content:
    """The columns of one revision. Until it is read, the text is empty, and hash and size are the file's."""

    media_type: Mapped[str]
    # Read only where it is needed: a list of sources must not load megabytes.
    text: Mapped[str] = mapped_column(deferred=True, deferred_raiseload=True)
    # What a reader found, as combine_core.readers.blocks_as_json; NULL: the text is Markdown or plain text.
    blocks: Mapped[str | None] = mapped_column(deferred=True, deferred_raiseload=True)
    # The bytes of the file, if they are not those of the text.
    original: Mapped[bytes | None] = mapped_column(deferred=True, deferred_raiseload=True)
    # Sentences about how the file was read.
    notes: Mapped[list[str] | None] = mapped_column(JSON)
    # By which the same file is recognised; NULL for a text that was pasted.
    file_sha256: Mapped[str | None]
    sha256: Mapped[str]
    size: Mapped[int]
    line_count: Mapped[int]


class Source(Identified, Content, Model):
    """Raw material in a project, with the content of its newest revision.

    The content of a revision never changes, because evidence points at its lines. Earlier revisions, and
    those that are not read yet, are in ``source_revisions``.
    """

    __tablename__ = "sources"

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    # The number of the newest revision that has been read; 0: none has.
    revision: Mapped[int] = mapped_column(default=1, server_default="1")
    # The revision that a search finds; 0: none. See combine_core.search.indexing.
    indexed_revision: Mapped[int] = mapped_column(default=0, server_default="0")
    # ``failed`` only if no revision could be read.
    state: Mapped[str] = mapped_column(default=ReadingState.READY, server_default="ready")
    # Why the newest file could not be read.
    error: Mapped[str | None]
    # NULL: the user was deleted.
    created_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    # When and by whom the newest revision was added; NULL: with the source.
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
    """A revision of a source that is not its newest one, or that is not read yet, or could not be read."""

    __tablename__ = "source_revisions"

    source_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sources.id", ondelete="CASCADE"))
    number: Mapped[int]
    # Its ending names the reader.
    file_name: Mapped[str]
    state: Mapped[str]
    error: Mapped[str | None]
    # How often a worker has begun to read it.
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    created_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )

    __table_args__ = (
        UniqueConstraint("source_id", "number"),
        CheckConstraint("state IN ('reading', 'ready', 'failed')", name="state"),
        Index("ix_source_revisions_reading", "id", postgresql_where=text("state = 'reading'")),
    )
