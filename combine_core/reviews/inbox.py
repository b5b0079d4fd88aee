"""What waits for a person: reviews to decide on, and mentions to read."""

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
from combine_core.database import NEWEST_FIRST, KeptList, Page, fetch
from combine_core.documents import Document
from combine_core.projects import Project
from combine_core.reviews.lists import whole_reviews
from combine_core.reviews.model import Review, ReviewDecision, ReviewPerson, ReviewState
from combine_core.reviews.service import DECIDING
from combine_core.users import Membership, Role

# More are not counted.
MOST_COUNTED = 100


def list_waiting(
    session: Session, user_id: uuid.UUID, *, cursor: str | None = None, limit: int = 50
) -> Page[Review]:
    """The inbox of a person: the open reviews, in all projects, that this person may decide on."""
    # The keys of the page first: with all that is shown, PostgreSQL would read each review and sort them.
    keys = _WAITING.page(session, sort=NEWEST_FIRST, cursor=cursor, limit=limit, user_id=user_id)
    these = whole_reviews().where(Review.id.in_([key.id for key in keys.items]))
    return Page(session.scalars(these.order_by(Review.id.desc())).all(), keys.next)


def waits_for(session: Session, review_id: uuid.UUID, user_id: uuid.UUID) -> bool:
    """Whether this review is in the inbox of this person."""
    this = _waiting(_USER_ID).where(Review.id == review_id)
    return fetch(session, this, user_id=user_id).first() is not None


def count_waiting(session: Session, user_id: uuid.UUID) -> int:
    """How many reviews and mentions wait for this person, at most ``MOST_COUNTED``."""
    number: int = fetch(session, _COUNT_WAITING, user_id=user_id).scalar_one()
    return number


class _Key(NamedTuple):
    id: uuid.UUID


def _waiting(user_id: BindParameter[uuid.UUID]) -> Select[uuid.UUID]:
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


def _is_another(user_id: BindParameter[uuid.UUID]) -> ColumnElement[bool]:
    return Review.asked_by.is_distinct_from(user_id) & Review.written_by.is_distinct_from(user_id)


_USER_ID = bindparam("user_id", type_=Uuid)
_WAITING = KeptList(_Key, _waiting(_USER_ID), Review.id)
_COUNT_WAITING = select(func.count()).select_from(
    union_all(_waiting(_USER_ID), unread_mentions(_USER_ID)).limit(MOST_COUNTED).subquery()
)
