"""Lists and counts the open reviews and unread mentions of a user."""

from __future__ import annotations

import uuid
from typing import NamedTuple

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
from combine_core.database import NEWEST_FIRST, ListQuery, Page, fetch
from combine_core.documents import Document
from combine_core.projects import Project
from combine_core.reviews.lists import complete_reviews
from combine_core.reviews.model import Review, ReviewDecision, ReviewPerson, ReviewState
from combine_core.reviews.service import DECIDING
from combine_core.users import Membership, Role

# The count stops at this number.
MAX_COUNTED = 100


def list_waiting(
    session: Session, user_id: uuid.UUID, *, cursor: str | None = None, limit: int = 50
) -> Page[Review]:
    """List the open reviews in all projects that a user may decide on."""
    # Select only the keys first. With all columns, PostgreSQL would read and sort all reviews.
    keys = _WAITING.page(session, sort=NEWEST_FIRST, cursor=cursor, limit=limit, user_id=user_id)
    reviews = complete_reviews().where(Review.id.in_([key.id for key in keys.items]))
    return Page(session.scalars(reviews.order_by(Review.id.desc())).all(), keys.next)


def waits_for(session: Session, review_id: uuid.UUID, user_id: uuid.UUID) -> bool:
    """Check whether a review is in the inbox of a user."""
    waiting = _waiting(_USER_ID).where(Review.id == review_id)
    return fetch(session, waiting, user_id=user_id).first() is not None


def count_waiting(session: Session, user_id: uuid.UUID) -> int:
    """Count the reviews and mentions in the inbox of a user, up to ``MAX_COUNTED``."""
    number: int = fetch(session, _COUNT_WAITING, user_id=user_id).scalar_one()
    return number


class _Key(NamedTuple):
    id: uuid.UUID


def _waiting(user_id: BindParameter[uuid.UUID]) -> Select[uuid.UUID]:
    """Select the ids of the reviews that a user may decide on, by the rules of :func:`obstacle_to_decide`."""
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
            or_(Review.author_may_decide, _is_no_author(user_id)),
            ~decided,
        )
    )


def _is_no_author(user_id: BindParameter[uuid.UUID]) -> ColumnElement[bool]:
    return Review.asked_by.is_distinct_from(user_id) & Review.written_by.is_distinct_from(user_id)


_USER_ID = bindparam("user_id", type_=Uuid)
_WAITING = ListQuery(_Key, _waiting(_USER_ID), Review.id)
_COUNT_WAITING = select(func.count()).select_from(
    union_all(_waiting(_USER_ID), unread_mentions(_USER_ID)).limit(MAX_COUNTED).subquery()
)
