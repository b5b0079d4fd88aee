"""Reads single reviews, the reviews of a document and the newest reviews of several documents."""

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
    """Return the current state of a review with its related objects."""
    return session.scalars(
        complete_reviews().where(Review.id == review_id).execution_options(populate_existing=True)
    ).one()


def list_reviews(
    session: Session,
    document_id: uuid.UUID,
    number: int | None = None,
    *,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Review]:
    """List the reviews of a document, newest first.

    :param number: list only the reviews of this version
    """
    of_document = complete_reviews().where(Review.document_id == document_id)
    if number is not None:
        of_document = of_document.where(Review.number == number)
    return paginate(session, of_document, Review.id, cursor=cursor, limit=limit)


class ReviewSummary(NamedTuple):
    """A review for display in its document: some columns of :class:`Review`.

    :ivar approvals: the number of people who approved
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
    """Return the newest review of the newest version of each document, by document id. Ids are text.

    :param number: use this version instead of the newest one
    """
    ids = list(document_ids)
    if number is None:
        rows = fetch(session, _OF_NEWEST, document_ids=ids)
    else:
        rows = fetch(session, _OF_NUMBER, document_ids=ids, number=number)
    reviews = (ReviewSummary._make(row) for row in rows)
    return {review.document_id: review for review in reviews}


def newest_review(
    session: Session, document_id: uuid.UUID, number: int | None = None
) -> ReviewSummary | None:
    """Return the newest review of one document, like :func:`newest_reviews`."""
    key = str(document_id)
    return newest_reviews(session, [key], number).get(key)


def complete_reviews() -> Select[Review]:
    """Select reviews with their related objects."""
    return select(Review).options(
        joinedload(Review.document, innerjoin=True),
        joinedload(Review.project, innerjoin=True),
        # Not a join: PostgreSQL would read all users to find the few askers.
        selectinload(Review.asker),
        selectinload(Review.people),
        selectinload(Review.decisions).joinedload(ReviewDecision.user),
    )
