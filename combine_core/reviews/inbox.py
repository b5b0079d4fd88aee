"""What waits for a person: reviews to decide on, and mentions to read."""

from __future__ import annotations

import uuid

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Uuid,
    bindparam,
    exists,
    func,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from combine_core.comments import unread_mentions
from combine_core.database import Page, fetch, paginate
from combine_core.documents import Document
from combine_core.projects import Project
from combine_core.reviews.model import Review, ReviewDecision, ReviewPerson, ReviewState
from combine_core.reviews.service import DECIDING, whole_reviews
from combine_core.users import Membership, Role

# More are not counted.
MOST_COUNTED = 100


def list_waiting(
    session: Session, user_id: uuid.UUID, *, cursor: str | None = None, limit: int = 50
) -> Page[Review]:
    """The inbox of a person: the open reviews, in all projects, that this person may decide on."""
    waiting = whole_reviews().where(Review.id.in_(_waiting(user_id)))
    return paginate(session, waiting, Review.id, cursor=cursor, limit=limit)


def count_waiting(session: Session, user_id: uuid.UUID) -> int:
    """How many reviews and mentions wait for this person, at most ``MOST_COUNTED``."""
    number: int = fetch(session, _COUNT_WAITING, user_id=user_id).scalar_one()
    return number


def _waiting(user_id: uuid.UUID | BindParameter[uuid.UUID]) -> Select[uuid.UUID]:
    """The ids of the reviews that wait for a person, as :func:`obstacle_to_decide` says it of one."""
    named = exists().where(ReviewPerson.review_id == Review.id, ReviewPerson.user_id == user_id)
    decided = exists().where(
        ReviewDecision.review_id == Review.id, ReviewDecision.user_id == user_id
    )
    return (
        select(Review.id)
        .join(Membership, Membership.project_id == Review.project_id)
        .join(Project, Project.id == Review.project_id)
        .join(Document, Document.id == Review.document_id)
        .where(
            Membership.user_id == user_id,
            Membership.role.in_(DECIDING),
            Project.archived_at.is_(None),
            Document.archived_at.is_(None),
            Review.outcome.is_(None),
            Review.state == ReviewState.OPEN,
            or_(
                (Review.role.is_(None)) & named,
                Review.role == Role.REVIEWER,
                Review.role == Membership.role,
            ),
            or_(Review.author_may_decide, _is_another(user_id)),
            ~decided,
        )
    )


def _is_another(user_id: uuid.UUID | BindParameter[uuid.UUID]) -> ColumnElement[bool]:
    return Review.asked_by.is_distinct_from(user_id) & Review.written_by.is_distinct_from(user_id)


def _count_waiting() -> Select[int]:
    user_id = bindparam("user_id", type_=Uuid)
    some = union_all(_waiting(user_id), unread_mentions(user_id)).limit(MOST_COUNTED)
    return select(func.count()).select_from(some.subquery())


_COUNT_WAITING = _count_waiting()
