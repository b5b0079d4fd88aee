"""Defines the tables of comments on statements and of mentions."""

from __future__ import annotations

import datetime
import uuid

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from combine_core.database.metadata import Identified, Model
from combine_core.documents.model import Document
from combine_core.users import User


class CommentMention(Model):
    """A mention of a person in a comment."""

    __tablename__ = "comment_mentions"

    comment_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("comments.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    # NULL: unread, so the mention is in the inbox of the person.
    read_at: Mapped[datetime.datetime | None] = mapped_column()

    __table_args__ = (
        Index("ix_comment_mentions_user_id", "user_id"),
        Index("ix_comment_mentions_unread", "user_id", postgresql_where=text("read_at IS NULL")),
    )


class Comment(Identified, Model):
    """A comment on one statement of a version."""

    __tablename__ = "comments"

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    document_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    # A comment quotes its statement, so it is deleted with the version.
    version_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("document_versions.id", ondelete="CASCADE"), index=True
    )
    # The number of the version.
    number: Mapped[int] = mapped_column()
    pointer: Mapped[str]
    # The text of the statement when the comment was written, in one line.
    statement: Mapped[str]
    text: Mapped[str]
    # NULL: the user was deleted.
    author_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    # NULL: open.
    resolved_at: Mapped[datetime.datetime | None] = mapped_column()
    resolved_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )

    document: Mapped[Document] = relationship(lazy="raise", viewonly=True)
    author: Mapped[User | None] = relationship(
        lazy="raise", viewonly=True, foreign_keys=[author_id]
    )
    resolver: Mapped[User | None] = relationship(
        lazy="raise", viewonly=True, foreign_keys=[resolved_by]
    )
    mentioned: Mapped[list[User]] = relationship(
        lazy="raise", viewonly=True, secondary="comment_mentions", order_by=User.name
    )

    # Lists the comments of a document, newest first.
    __table_args__ = (Index("ix_comments_document_id_id", "document_id", "id"),)
