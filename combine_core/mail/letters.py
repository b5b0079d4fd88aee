"""Determines the recipients of mail and writes their messages.

A message names the document, the project and a person, and links to the page. It quotes no content.
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
from combine_core.mail import Occasion
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

_VERBS = {
    Decision.APPROVE: "approved",
    Decision.REJECT: "rejected",
    Decision.REQUEST_CHANGES: "asked for changes to",
}


@dataclass(frozen=True)
class Letter:
    """A message to one recipient.

    :ivar path: the path of the page that the message links to
    """

    address: str
    subject: str
    text: str
    path: str


def list_recipients(
    session: Session, occasion: Occasion, object_id: uuid.UUID, by: uuid.UUID
) -> list[uuid.UUID]:
    """Return the ids of the recipients, except the user who acted. Empty if the object was deleted."""
    if occasion is Occasion.COMMENT_ADD:
        mentioned = select(CommentMention.user_id).where(CommentMention.comment_id == object_id)
        return [user_id for user_id in session.scalars(mentioned) if user_id != by]
    if session.get(Review, object_id) is None:
        return []
    review = read_review(session, object_id)
    people: Iterable[uuid.UUID | None]
    if occasion is Occasion.REVIEW_DECIDE:
        people = dict.fromkeys([review.asked_by, review.written_by])
    else:
        people = [
            member.user_id
            for member in list_deciders(session, review.project_id)
            if obstacle_to_decide(review, member.user_id, Role(member.role)) is None
        ]
    return [user_id for user_id in people if user_id is not None and user_id != by]


def write_letter(
    session: Session, occasion: Occasion, object_id: uuid.UUID, by: uuid.UUID, to: uuid.UUID
) -> Letter | None:
    """Write the message to a recipient. Return ``None`` if they do not want it or it is out of date."""
    person = session.get(User, to)
    if person is None or person.disabled_at is not None or not person.gets_mail:
        return None
    user = session.get(User, by)
    actor = "Somebody" if user is None else _one_line(user.name)
    if occasion is Occasion.COMMENT_ADD:
        return _mention(session, object_id, actor, person)
    if session.get(Review, object_id) is None:
        return None
    review = read_review(session, object_id)
    if occasion is Occasion.REVIEW_ASK:
        return _request(session, review, actor, person)
    return _decision(session, review, by, actor, person)


def _request(session: Session, review: Review, actor: str, person: User) -> Letter | None:
    if not waits_for(session, review.id, person.id):
        return None
    title, project = _one_line(review.document.title), _one_line(review.project.name)
    lines = [
        f"{actor} asks you to review version {review.number} of “{title}” in the project “{project}”."
    ]
    if review.due_at is not None:
        lines.append(f"It is due on {review.due_at:%Y-%m-%d at %H:%M} UTC.")
    return Letter(person.email, f"Review: {title}", " ".join(lines), f"/reviews/{review.id}")


def _decision(
    session: Session, review: Review, by: uuid.UUID, actor: str, person: User
) -> Letter | None:
    decisions = [decision for decision in review.decisions if decision.user_id == by]
    if not decisions or not _is_member(session, review.project_id, person.id):
        return None
    verb, title = _VERBS[Decision(decisions[-1].decision)], _one_line(review.document.title)
    project = _one_line(review.project.name)
    text = (
        f"{actor} has {verb} version {review.number} of “{title}” in the project “{project}”."
        f" Approvals: {review.approvals} of {review.needed}."
    )
    return Letter(person.email, f"{verb.capitalize()}: {title}", text, f"/reviews/{review.id}")


def _mention(session: Session, comment_id: uuid.UUID, actor: str, person: User) -> Letter | None:
    unread = unread_mentions(person.id).where(Comment.id == comment_id)
    if session.scalar(unread) is None:
        return None
    comment = read_comment(session, comment_id)
    document = session.get_one(Document, comment.document_id)
    title = _one_line(document.title)
    project = _one_line(session.get_one(Project, comment.project_id).name)
    return Letter(
        person.email,
        f"Comment: {title}",
        f"{actor} mentions you in a comment on “{title}” in the project “{project}”.",
        f"/documents/{document.id}/comments",
    )


def _is_member(session: Session, project_id: uuid.UUID, user_id: uuid.UUID) -> bool:
    member = exists().where(Membership.project_id == project_id, Membership.user_id == user_id)
    return bool(session.scalar(select(member)))


def _one_line(text: str) -> str:
    # A header must not contain line breaks.
    return " ".join(text.split())
