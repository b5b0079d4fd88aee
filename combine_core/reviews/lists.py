"""Reads reviews: one, those of a document, and the newest ones of documents."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, Select, bindparam, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload, selectinload

from combine_core.database import Page, any_key, as_text, fetch, paginate
from combine_core.documents import Document
from combine_core.reviews.model import Decision, Review, ReviewDecision


def read_review(session: Session, review_id: uuid.UUID) -> Review:
    """A review with all that belongs to it, as it is now."""
    return session.scalars(
        whole_reviews().where(Review.id == review_id).execution_options(populate_existing=True)
    ).one()


def list_reviews(
    session: Session,
    document_id: uuid.UUID,
    number: int | None = None,
    *,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Review]:
    """The reviews of a document, newest first.

    :param number: of this version alone
    """
    of_document = whole_reviews().where(Review.document_id == document_id)
    if number is not None:
        of_document = of_document.where(Review.number == number)
    return paginate(session, of_document, Review.id, cursor=cursor, limit=limit)


class ReviewSummary(NamedTuple):
    """What a document says of its review: some columns of :class:`Review`.

    :ivar approvals: how many people have approved
    """

    document_id: str
    id: uuid.UUID
    state: str
    number: int
    sha256: str
    approvals: int
    needed: int
    due_at: datetime | None
    author_may_decide: bool


def _newest_reviews(number: ColumnElement[int] | InstrumentedAttribute[int]) -> Select[Any]:
    approvals = (
        select(func.count())
        .where(ReviewDecision.review_id == Review.id, ReviewDecision.decision == Decision.APPROVE)
        .scalar_subquery()
    )
    columns = (Review.id, Review.state, Review.number, Review.sha256)
    return (
        select(
            as_text(Review.document_id),
            *columns,
            approvals,
            Review.needed,
            Review.due_at,
            Review.author_may_decide,
        )
        .join(Document, Document.id == Review.document_id)
        .ext(distinct_on(Review.document_id))
        .where(Review.document_id == any_key("document_ids"), Review.number == number)
        .order_by(Review.document_id, Review.id.desc())
    )


_OF_NEWEST = _newest_reviews(Document.head)
_OF_NUMBER = _newest_reviews(bindparam("number", type_=Integer))


def newest_reviews(
    session: Session, document_ids: Sequence[str], number: int | None = None
) -> dict[str, ReviewSummary]:
    """The newest review of each of these documents that has one, of its newest version. All ids are text.

    :param number: of this version instead
    """
    which = {"document_ids": list(document_ids)}
    found = (
        fetch(session, _OF_NEWEST, **which)
        if number is None
        else fetch(session, _OF_NUMBER, **which, number=number)
    )
    reviews = (ReviewSummary._make(row) for row in found)
    return {review.document_id: review for review in reviews}


def newest_review(
    session: Session, document_id: uuid.UUID, number: int | None = None
) -> ReviewSummary | None:
    """The same for one document."""
    key = str(document_id)
    return newest_reviews(session, [key], number).get(key)


def whole_reviews() -> Select[Review]:
    """Reviews with all that is shown of them."""
    return select(Review).options(
        joinedload(Review.document, innerjoin=True),
        joinedload(Review.project, innerjoin=True),
        # By a join, PostgreSQL would read all users of the service for the few who asked.
        selectinload(Review.asker),
        selectinload(Review.people),
        selectinload(Review.decisions).joinedload(ReviewDecision.user),
    )
