"""Defines the tables of documents, their versions and the inputs of each version."""

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

from combine_core.database.metadata import Identified, Model, one_of
from combine_core.sources.model import Source
from combine_core.users.model import User


class VersionOrigin(StrEnum):
    """The way in which a version was made."""

    LINE = "line"
    EDIT = "edit"
    RESTORE = "restore"
    IMPORT = "import"


class Document(Identified, Model):
    """The result of a line for a set of sources. Running the line again adds a version."""

    __tablename__ = "documents"

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    type: Mapped[str]
    # A hash of the sources, so that the same line on the same sources updates the same document.
    key: Mapped[str]
    title: Mapped[str]
    # The number of the newest version. It is 0 only in the transaction that inserts the document.
    head: Mapped[int] = mapped_column(default=0)
    # The highest version number so far. Numbers of deleted versions are not reused.
    last_number: Mapped[int] = mapped_column(default=0, server_default="0")
    # The number of the version in the search index; 0: none. See combine_core.search.indexing.
    indexed_version: Mapped[int] = mapped_column(default=0, server_default="0")
    # Lists omit archived documents.
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
    # NULL: not written by a run.
    run_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), index=True
    )
    # The user who edited or restored the version. NULL: written by a run, or the user was deleted.
    author_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    # The number of the version that was edited or restored.
    parent_number: Mapped[int | None]
    # The author's note.
    note: Mapped[str | None]
    # An edited or restored version has the model of its parent.
    model: Mapped[str]
    used_llm: Mapped[bool]
    content: Mapped[dict[str, Any]] = mapped_column(deferred=True, deferred_raiseload=True)
    markdown: Mapped[str] = mapped_column(deferred=True, deferred_raiseload=True)
    sha256: Mapped[str]
    # The number of unsupported statements.
    flagged: Mapped[int]
    # The number of statements with each verdict. NULL: the version is older than verdicts.
    support: Mapped[dict[str, int] | None] = mapped_column(JSON)

    document: Mapped[Document] = relationship(lazy="raise")
    author: Mapped[User | None] = relationship(lazy="raise")
    inputs: Mapped[list[VersionInput]] = relationship(
        lazy="raise", order_by="VersionInput.position", cascade="all, delete-orphan"
    )

    __table_args__ = (
        UniqueConstraint("document_id", "number"),
        one_of("origin", VersionOrigin),
    )


class VersionInput(Model):
    """An input of a version: its key and the hash of its content."""

    __tablename__ = "version_inputs"

    version_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("document_versions.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column()
    ref_id: Mapped[uuid.UUID] = mapped_column()
    name: Mapped[str]
    sha256: Mapped[str]
    # Whether the input is a source that was deleted.
    deleted: Mapped[bool] = column_property(
        and_(kind == "source", ~exists().where(Source.id == ref_id))
    )
    # The revision of the source. NULL: the first one, in versions older than the table of revisions.
    revision: Mapped[int | None]

    __table_args__ = (
        CheckConstraint("kind IN ('source', 'line')", name="kind"),
        # Finds the documents that were made from a source.
        Index("ix_version_inputs_kind_ref_id", "kind", "ref_id"),
    )


class StaleAcknowledgement(Model):
    """The confirmation of a user that a document needs no update after an input changed."""

    __tablename__ = "stale_acknowledgements"

    document_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True
    )
    # VersionInput.ref_id
    input_id: Mapped[uuid.UUID] = mapped_column(primary_key=True, index=True)
    # The hash of the content that the document was made from, and of the content that was acknowledged.
    from_sha256: Mapped[str] = mapped_column(primary_key=True)
    to_sha256: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    note: Mapped[str]
