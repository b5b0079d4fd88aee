"""The tables of reviews, of the people that they name, and of their decisions."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    UniqueConstraint,
    and_,
    case,
    exists,
    func,
    text,
)
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from combine_core.database.metadata import Identified, Model
from combine_core.documents.model import Document
from combine_core.projects.model import Project
from combine_core.users import Role, User


class ReviewState(StrEnum):
    """How far a review has come."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    CHANGES_REQUESTED = "changes_requested"
    # Nobody has decided in time, and the review says that this is a rejection.
    EXPIRED = "expired"
    # It was open or approved, and its document has a newer version now.
    DISMISSED = "dismissed"
    WITHDRAWN = "withdrawn"


class Decision(StrEnum):
    """What a person decides on a version."""

    APPROVE = "approve"
    REJECT = "reject"
    REQUEST_CHANGES = "request_changes"


class OnExpiry(StrEnum):
    """What happens to an open review at its date."""

    # It stays open, and is shown as overdue.
    NOTHING = "nothing"
    REJECT = "reject"


# The states that are stored. The others follow from the clock and from the versions of the document.
_OUTCOMES = (
    ReviewState.APPROVED,
    ReviewState.REJECTED,
    ReviewState.CHANGES_REQUESTED,
    ReviewState.WITHDRAWN,
)


def _one_of(column: str, values: Iterable[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class ReviewDecision(Identified, Model):
    """What one person has decided. Rows are only ever added."""

    __tablename__ = "review_decisions"

    review_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("reviews.id", ondelete="CASCADE"))
    # NULL: the person has no account any more.
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    decision: Mapped[str] = mapped_column()
    comment: Mapped[str | None]

    user: Mapped[User | None] = relationship(lazy="raise", viewonly=True)

    __table_args__ = (
        UniqueConstraint("review_id", "user_id", "decision"),
        _one_of("decision", Decision),
    )


class ReviewPerson(Model):
    """A person that a review names: only these decide."""

    __tablename__ = "review_people"

    review_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("reviews.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Review(Identified, Model):
    """The question whether people approve one version of a document."""

    __tablename__ = "reviews"

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    document_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    version_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("document_versions.id", ondelete="CASCADE"), index=True
    )
    # Of the version.
    number: Mapped[int] = mapped_column()
    sha256: Mapped[str]
    # Who asked for the review, and who wrote the version; NULL: somebody without an account.
    asked_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    written_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    # Who decides has this role at least. NULL: the review names people.
    role: Mapped[str | None]
    needed: Mapped[int]
    author_may_decide: Mapped[bool]
    due_at: Mapped[datetime.datetime | None] = mapped_column()
    on_expiry: Mapped[str] = mapped_column()
    # NULL: nobody has ended it.
    outcome: Mapped[str | None] = mapped_column()

    # Asked for where they are needed, never by accident.
    project: Mapped[Project] = relationship(lazy="raise", viewonly=True)
    document: Mapped[Document] = relationship(lazy="raise", viewonly=True)
    asker: Mapped[User | None] = relationship(lazy="raise", viewonly=True, foreign_keys=[asked_by])
    people: Mapped[list[User]] = relationship(
        lazy="raise", viewonly=True, secondary="review_people", order_by=User.name
    )
    decisions: Mapped[list[ReviewDecision]] = relationship(
        lazy="raise", viewonly=True, order_by=ReviewDecision.id
    )

    __table_args__ = (
        _one_of("role", (Role.REVIEWER, Role.OWNER)),
        _one_of("on_expiry", OnExpiry),
        _one_of("outcome", _OUTCOMES),
        CheckConstraint("needed > 0", name="needed"),
        # The reviews of a document, newest first.
        Index("ix_reviews_document_id_id", "document_id", "id"),
        # The inbox.
        Index("ix_reviews_open", "project_id", "id", postgresql_where=text("outcome IS NULL")),
    )

    # Selected with the columns.
    state: Mapped[str] = column_property(
        case(
            (outcome.in_(_OUTCOMES[1:]), outcome),
            (
                exists()
                .where(Document.id == document_id, Document.head != number)
                .correlate_except(Document),
                ReviewState.DISMISSED,
            ),
            (outcome.is_not(None), outcome),
            (and_(on_expiry == OnExpiry.REJECT, due_at <= func.now()), ReviewState.EXPIRED),
            else_=ReviewState.OPEN,
        )
    )

    @property
    def approvals(self) -> int:
        """How many people have approved."""
        return sum(each.decision == Decision.APPROVE for each in self.decisions)
