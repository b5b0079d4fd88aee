"""Tables of documents, their versions and what each version was made from."""

from __future__ import annotations

import datetime
import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    Index,
    UniqueConstraint,
    and_,
    exists,
    func,
    text,
)
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from combine_core.database.metadata import Identified, Model
from combine_core.sources.model import Source
from combine_core.users.model import User


class VersionOrigin(StrEnum):
    """How a version came to be."""

    LINE = "line"
    EDIT = "edit"
    RESTORE = "restore"
    IMPORT = "import"


class Document(Identified, Model):
    """The result of a line for a set of sources. Running the line again adds a version."""

    __tablename__ = "documents"

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    type: Mapped[str]
    # A hash of its sources: the same line on the same sources gives the same document.
    key: Mapped[str]
    title: Mapped[str]
    # Number of the newest version. It is 0 only inside the transaction that makes the document.
    head: Mapped[int] = mapped_column(default=0)
    # The highest number that a version has had. It is not given again when that version is deleted.
    last_number: Mapped[int] = mapped_column(default=0, server_default="0")
    # The version whose statements a search finds; 0: none. See combine_core.search.indexing.
    indexed_version: Mapped[int] = mapped_column(default=0, server_default="0")
    # Archived things are left out of lists.
    archived_at: Mapped[datetime.datetime | None]

    __table_args__ = (
        UniqueConstraint("project_id", "type", "key"),
        Index("ix_documents_project_id_id", "project_id", "id"),
        Index("ix_documents_project_id_title_id", "project_id", "title", "id"),
        Index(
            "ix_documents_not_indexed",
            "project_id",
            postgresql_where=text("indexed_version <> head"),
        ),
    )


class DocumentVersion(Identified, Model):
    """One immutable state of a document."""

    __tablename__ = "document_versions"

    document_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    number: Mapped[int]
    origin: Mapped[str] = mapped_column(default=VersionOrigin.LINE, server_default="line")
    # NULL: no run wrote it.
    run_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), index=True
    )
    # Who edited or restored it. NULL: nobody did, or the user was deleted.
    author_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    # The number of the version that was edited or restored.
    parent_number: Mapped[int | None]
    # What the author says about it.
    note: Mapped[str | None]
    # Of a version that no run wrote: the model of the version that it goes back to.
    model: Mapped[str]
    used_llm: Mapped[bool]
    content: Mapped[dict[str, Any]] = mapped_column(deferred=True, deferred_raiseload=True)
    markdown: Mapped[str] = mapped_column(deferred=True, deferred_raiseload=True)
    sha256: Mapped[str]
    # Number of unsupported statements.
    flagged: Mapped[int]
    # How many statements have each verdict. NULL: written before there were verdicts, so not judged.
    support: Mapped[dict[str, int] | None] = mapped_column(JSON)

    document: Mapped[Document] = relationship(lazy="raise")
    author: Mapped[User | None] = relationship(lazy="raise")
    inputs: Mapped[list[VersionInput]] = relationship(
        lazy="raise", order_by="VersionInput.position", cascade="all, delete-orphan"
    )

    __table_args__ = (
        UniqueConstraint("document_id", "number"),
        CheckConstraint("origin IN ('line', 'edit', 'restore', 'import')", name="origin"),
    )


class VersionInput(Model):
    """One input of a version: its key and the hash of its content."""

    __tablename__ = "version_inputs"

    version_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("document_versions.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column()
    ref_id: Mapped[uuid.UUID] = mapped_column()
    name: Mapped[str]
    sha256: Mapped[str]
    # Whether it was a source that does not exist any more.
    deleted: Mapped[bool] = column_property(
        and_(kind == "source", ~exists().where(Source.id == ref_id))
    )
    # Of a source; NULL: the first, in versions from before there were revisions.
    revision: Mapped[int | None]

    __table_args__ = (
        CheckConstraint("kind IN ('source', 'line')", name="kind"),
        # "Which documents rest on this source?"
        Index("ix_version_inputs_kind_ref_id", "kind", "ref_id"),
    )


class StaleAcknowledgement(Model):
    """Somebody has seen that an input has changed, and leaves the document as it is."""

    __tablename__ = "stale_acknowledgements"

    document_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True
    )
    # VersionInput.ref_id
    input_id: Mapped[uuid.UUID] = mapped_column(primary_key=True, index=True)
    # The content that the document was made from, and the one that was seen.
    from_sha256: Mapped[str] = mapped_column(primary_key=True)
    to_sha256: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    note: Mapped[str]
