"""Whom an occasion concerns, and what the letter to each of them says.

A letter names the document, the project and a person, and leads to the page. It quotes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from combine_core.comments import CommentMention, read_comment, unread_mentions
from combine_core.comments.model import Comment
from combine_core.documents import Document
from combine_core.mail.jobs import Occasion
from combine_core.projects import Project
from combine_core.reviews import (
    Decision,
    Review,
    list_deciders,
    obstacle_to_decide,
    read_review,
    waits_for,
)
from combine_core.users import Membership, Role, User

_DID = {
    Decision.APPROVE: "approved",
    Decision.REJECT: "rejected",
    Decision.REQUEST_CHANGES: "asked for changes to",
}


@dataclass(frozen=True)
class Letter:
    """What one person gets.

    :ivar path: of the page that it leads to
    """

    address: str
    subject: str
    text: str
    path: str


def list_recipients(
    session: Session, occasion: Occasion, thing_id: uuid.UUID, by: uuid.UUID
) -> list[uuid.UUID]:
    """Those whom it concerns, without the one who did it. Nobody, if the thing was deleted."""
    if occasion is Occasion.COMMENT_ADD:
        mentioned = select(CommentMention.user_id).where(CommentMention.comment_id == thing_id)
        return [one for one in session.scalars(mentioned) if one != by]
    if session.get(Review, thing_id) is None:
        return []
    review = read_review(session, thing_id)
    people: Iterable[uuid.UUID | None]
    if occasion is Occasion.REVIEW_DECIDE:
        people = dict.fromkeys([review.asked_by, review.written_by])
    else:
        people = [
            member.user_id
            for member in list_deciders(session, review.project_id)
            if obstacle_to_decide(review, member.user_id, Role(member.role)) is None
        ]
    return [one for one in people if one is not None and one != by]


def write_letter(
    session: Session, occasion: Occasion, thing_id: uuid.UUID, by: uuid.UUID, to: uuid.UUID
) -> Letter | None:
    """The letter to a person; ``None``: it does not concern them any more."""
    person = session.get(User, to)
    if person is None or person.disabled_at is not None:
        return None
    actor = session.get(User, by)
    who = "Somebody" if actor is None else _plain(actor.name)
    if occasion is Occasion.COMMENT_ADD:
        return _mention(session, thing_id, who, person)
    if session.get(Review, thing_id) is None:
        return None
    review = read_review(session, thing_id)
    if occasion is Occasion.REVIEW_ASK:
        return _request(session, review, who, person)
    return _decision(session, review, by, who, person)


def _request(session: Session, review: Review, who: str, person: User) -> Letter | None:
    if not waits_for(session, review.id, person.id):
        return None
    title, project = _plain(review.document.title), _plain(review.project.name)
    lines = [
        f"{who} asks you to review version {review.number} of “{title}” in the project “{project}”."
    ]
    if review.due_at is not None:
        lines.append(f"It is due on {review.due_at:%Y-%m-%d at %H:%M} UTC.")
    return Letter(person.email, f"Review: {title}", " ".join(lines), f"/reviews/{review.id}")


def _decision(
    session: Session, review: Review, by: uuid.UUID, who: str, person: User
) -> Letter | None:
    made = [each for each in review.decisions if each.user_id == by]
    if not made or not _is_member(session, review.project_id, person.id):
        return None
    did, title = _DID[Decision(made[-1].decision)], _plain(review.document.title)
    project = _plain(review.project.name)
    text = (
        f"{who} has {did} version {review.number} of “{title}” in the project “{project}”."
        f" Approvals: {review.approvals} of {review.needed}."
    )
    return Letter(person.email, f"{did.capitalize()}: {title}", text, f"/reviews/{review.id}")


def _mention(session: Session, comment_id: uuid.UUID, who: str, person: User) -> Letter | None:
    unread = unread_mentions(person.id).where(Comment.id == comment_id)
    if session.scalar(unread) is None:
        return None
    comment = read_comment(session, comment_id)
    document = session.get_one(Document, comment.document_id)
    title, project = (
        _plain(document.title),
        _plain(session.get_one(Project, comment.project_id).name),
    )
    return Letter(
        person.email,
        f"Comment: {title}",
        f"{who} mentions you in a comment on “{title}” in the project “{project}”.",
        f"/documents/{document.id}/comments",
    )


def _is_member(session: Session, project_id: uuid.UUID, user_id: uuid.UUID) -> bool:
    member = exists().where(Membership.project_id == project_id, Membership.user_id == user_id)
    return bool(session.scalar(select(member)))


def _plain(text: str) -> str:
    """In one line, because it stands in the head of a message."""
    return " ".join(text.split())
