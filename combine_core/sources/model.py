"""The table of sources."""

from __future__ import annotations

import uuid

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database.metadata import Identified, Model


class Source(Identified, Model):
    """Raw material in a project. Its text never changes: evidence points at its lines."""

    __tablename__ = "sources"

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    media_type: Mapped[str]
    # Read only where it is needed: a list of sources must not load megabytes.
    text: Mapped[str] = mapped_column(deferred=True, deferred_raiseload=True)
    # What a reader found, as combine_core.readers.blocks_as_json; NULL: the text is Markdown or plain text.
    blocks: Mapped[str | None] = mapped_column(deferred=True, deferred_raiseload=True)
    # The bytes of the file, if they are not those of the text.
    original: Mapped[bytes | None] = mapped_column(deferred=True, deferred_raiseload=True)
    # Sentences about how the file was read.
    notes: Mapped[list[str] | None] = mapped_column(JSON)
    sha256: Mapped[str]
    size: Mapped[int]
    line_count: Mapped[int]
    # NULL: the user was deleted.
    created_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )

    __table_args__ = (
        Index("ix_sources_project_id_id", "project_id", "id"),
        Index("ix_sources_project_id_name_id", "project_id", "name", "id"),
    )
