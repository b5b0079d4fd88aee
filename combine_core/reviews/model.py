"""Defines the tables of reviews, of the people named in them, and of decisions."""

from __future__ import annotations

import datetime
import uuid
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

from combine_core.database.metadata import Identified, Model, one_of
from combine_core.documents.model import Document
from combine_core.projects.model import Project
from combine_core.users import Role, User


class ReviewState(StrEnum):
    """The state of a review."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    CHANGES_REQUESTED = "changes_requested"
    # The review ended without enough decisions, and its terms count that as a rejection.
    EXPIRED = "expired"
    # The review was open or approved, and its document has a newer version.
    DISMISSED = "dismissed"
    WITHDRAWN = "withdrawn"


class Decision(StrEnum):
    """A decision of a person on a version."""

    APPROVE = "approve"
    REJECT = "reject"
    REQUEST_CHANGES = "request_changes"


class OnExpiry(StrEnum):
    """The action on an open review at its due date."""

    # The review stays open and is shown as overdue.
    NOTHING = "nothing"
    REJECT = "reject"


# The stored states. The others are computed from the clock and the versions of the document.
_OUTCOMES = (
    ReviewState.APPROVED,
    ReviewState.REJECTED,
    ReviewState.CHANGES_REQUESTED,
    ReviewState.WITHDRAWN,
)


class ReviewDecision(Identified, Model):
    """The decision of one person. Rows are never changed."""

    __tablename__ = "review_decisions"

    review_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("reviews.id", ondelete="CASCADE"))
    # NULL: the user was deleted.
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    decision: Mapped[str] = mapped_column()
    comment: Mapped[str | None]

    user: Mapped[User | None] = relationship(lazy="raise", viewonly=True)

    __table_args__ = (
        UniqueConstraint("review_id", "user_id", "decision"),
        one_of("decision", Decision),
    )


class ReviewPerson(Model):
    """A person who is named in a review. Only named people decide on it."""

    __tablename__ = "review_people"

    review_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("reviews.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Review(Identified, Model):
    """A request to people to approve one version of a document."""

    __tablename__ = "reviews"

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    document_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    version_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("document_versions.id", ondelete="CASCADE"), index=True
    )
    # The number of the version.
    number: Mapped[int] = mapped_column()
    sha256: Mapped[str]
    # The users who asked for the review and who wrote the version. NULL: the user was deleted.
    asked_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    written_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    # The minimum role of the people who decide. NULL: the review names people.
    role: Mapped[str | None]
    needed: Mapped[int]
    author_may_decide: Mapped[bool]
    due_at: Mapped[datetime.datetime | None] = mapped_column()
    on_expiry: Mapped[str] = mapped_column()
    # NULL: the review was not ended by a person.
    outcome: Mapped[str | None] = mapped_column()

    # lazy="raise": queries load these explicitly where they are needed.
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
        one_of("role", (Role.REVIEWER, Role.OWNER)),
        one_of("on_expiry", OnExpiry),
        one_of("outcome", _OUTCOMES),
        CheckConstraint("needed > 0", name="needed"),
        # Lists the reviews of a document, newest first.
        Index("ix_reviews_document_id_id", "document_id", "id"),
        # Finds the open reviews for the inbox.
        Index("ix_reviews_open", "project_id", "id", postgresql_where=text("outcome IS NULL")),
    )

    # Computed in SQL and loaded with the columns.
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
        """Return the number of people who approved."""
        return sum(decision.decision == Decision.APPROVE for decision in self.decisions)
