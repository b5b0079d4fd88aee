"""Requests reviews and records decisions.

A review belongs to one version of a document. Its state is computed on reading: any newer version of the
document dismisses it, and it expires by the clock of the database. Requests and decisions lock the document,
as writing a version does.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from combine_core.documents import (
    DocumentVersion,
    action_of,
    edit_document,
    is_newest_content,
    lock_document,
    read_version,
)
from combine_core.register import enter_version
from combine_core.reviews.lists import newest_review, read_review
from combine_core.reviews.model import (
    Decision,
    OnExpiry,
    Review,
    ReviewDecision,
    ReviewPerson,
    ReviewState,
)
from combine_core.runs import Run
from combine_core.text import clean_text
from combine_core.users import ROLE_PERMISSIONS, Membership, Permission, Role, User, UserAction

MAX_NEEDED = 20
MAX_COMMENT_BYTES = 10_000
# Is called in the transaction of each action. The API and the pages report the action to the add-ons.
Notify = Callable[[UserAction], object]
# The roles that may decide.
DECIDING = [role for role in Role if Permission.DOCUMENTS_REVIEW in ROLE_PERMISSIONS[role]]


class InvalidReview(ValueError):
    """An invalid review or decision. ``field`` names the invalid field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class MayNotDecide(PermissionError):
    """Raised when the terms of the review do not allow this person to decide."""


class ReviewConflict(ValueError):
    """Raised when the review has changed since the person read it."""


@dataclass(frozen=True)
class Terms:
    """The terms of a review: the people who decide, and the due date.

    :ivar role: the minimum role of the people who decide; ignored if ``people`` is not empty
    :ivar people: the members who decide
    :ivar needed: the number of required approvals
    :ivar author_may_decide: whether the person who asks and the author of the version may decide
    """

    role: Role = Role.REVIEWER
    people: Sequence[uuid.UUID] = ()
    needed: int = 1
    author_may_decide: bool = False
    due_at: datetime | None = None
    on_expiry: OnExpiry = OnExpiry.NOTHING


def ask_for_review(
    session: Session,
    document_id: uuid.UUID,
    number: int,
    user_id: uuid.UUID,
    terms: Terms,
    *,
    notify: Notify,
) -> Review:
    """Ask people to decide on the newest version of a document.

    :param number: the number of the version that the user has read
    :raises ReviewConflict: if there is a newer version, or this one is in review or approved
    :raises InvalidReview: if too few people may decide
    """
    document = lock_document(session, document_id)
    if document.head != number:
        raise ReviewConflict(
            f"Version {number} is not the newest version of this document."
            " Open the newest version and ask for its review."
        )
    version_id, sha256, written_by = session.execute(
        select(
            DocumentVersion.id,
            DocumentVersion.sha256,
            func.coalesce(DocumentVersion.author_id, Run.requested_by),
        )
        .outerjoin(Run, Run.id == DocumentVersion.run_id)
        .where(DocumentVersion.document_id == document_id, DocumentVersion.number == number)
    ).one()
    _check_not_reviewed(session, document_id)
    authors = () if terms.author_may_decide else (user_id, written_by)
    people = _check_terms(session, document.project_id, terms, authors)
    review = Review(
        project_id=document.project_id,
        document_id=document_id,
        version_id=version_id,
        number=number,
        sha256=sha256,
        asked_by=user_id,
        written_by=written_by,
        role=None if people else terms.role,
        needed=terms.needed,
        author_may_decide=terms.author_may_decide,
        due_at=terms.due_at,
        on_expiry=terms.on_expiry,
    )
    _add_review(session, review, people, notify)
    return read_review(session, review.id)


def _add_review(
    session: Session,
    review: Review,
    people: Iterable[uuid.UUID],
    notify: Notify,
    **details: object,
) -> None:
    session.add(review)
    session.flush()
    session.add_all(ReviewPerson(review_id=review.id, user_id=person) for person in people)
    session.flush()
    notify(_action("ask", review, needed=review.needed, **details))


def _action(action: str, review: Review, **details: object) -> UserAction:
    version = {"document": str(review.document_id), "version": review.number}
    return UserAction(f"review-{action}", f"review:{review.id}", {**version, **details})


def _check_not_reviewed(session: Session, document_id: uuid.UUID) -> None:
    current = newest_review(session, document_id)
    if current is not None and current.state == ReviewState.OPEN:
        raise ReviewConflict(
            f"Version {current.number} is already in review. Withdraw that review first."
        )
    if current is not None and current.state == ReviewState.APPROVED:
        raise ReviewConflict(f"Version {current.number} is already approved.")


def _check_terms(
    session: Session,
    project_id: uuid.UUID,
    terms: Terms,
    excluded: Iterable[uuid.UUID | None],
) -> Sequence[uuid.UUID]:
    """Check the terms, and return the named people without duplicates."""
    if terms.due_at is not None and terms.due_at <= datetime.now(UTC):
        raise InvalidReview("due_at", "This time is in the past. Choose a time in the future.")
    if terms.on_expiry is OnExpiry.REJECT and terms.due_at is None:
        raise InvalidReview("due_at", "Choose the time at which the review is rejected.")
    people = list(dict.fromkeys(terms.people))
    reviewers = {
        member.user_id
        for member in list_deciders(session, project_id, terms.role if not people else None)
    }
    if unable := [person for person in people if person not in reviewers]:
        raise InvalidReview(
            "people",
            f"{len(unable)} of these people cannot decide, because they are not reviewers of the project.",
        )
    deciders = (set(people) or reviewers) - set(excluded)
    if len(deciders) < terms.needed:
        raise InvalidReview(
            "needed",
            f"Required approvals: {terms.needed}. People who may decide: {len(deciders)}. You and the author"
            " of the version do not count, unless authors may decide. Invite reviewers, ask for fewer"
            " approvals, or let authors decide.",
        )
    return people


def list_deciders(
    session: Session, project_id: uuid.UUID, role: Role | None = None
) -> Sequence[Membership]:
    """List the members who may decide with their users, by name.

    :param role: the minimum role
    """
    roles = DECIDING if role is None else [each for each in DECIDING if _includes(each, role)]
    return session.scalars(
        select(Membership)
        .join(Membership.user)
        .options(joinedload(Membership.user))
        .where(
            Membership.project_id == project_id,
            Membership.role.in_(roles),
            User.disabled_at.is_(None),
        )
        .order_by(User.name, User.id)
        .limit(1000)
    ).all()


def _includes(role: Role, minimum: Role) -> bool:
    return list(Role).index(role) >= list(Role).index(minimum)


def decide(
    session: Session,
    review_id: uuid.UUID,
    user_id: uuid.UUID,
    role: Role,
    decision: Decision,
    *,
    sha256: str,
    comment: str | None = None,
    notify: Notify,
) -> Review:
    """Record the decision of a person. Repeating a decision has no effect.

    A person who has approved may still reject or request changes while the review is open.

    :param role: the role of the person in the project
    :param sha256: the hash of the content that the person has read
    :raises InvalidReview: if the comment is missing
    :raises MayNotDecide: if the terms of the review do not allow this person to decide
    :raises ReviewConflict: if the review has ended, or the person has read another version
    """
    comment = _clean_comment(comment, decision)
    review = _lock_for_decision(session, review_id, user_id, role)
    earlier = next(
        (each for each in review.decisions if (each.user_id, each.decision) == (user_id, decision)),
        None,
    )
    if earlier is not None and (earlier.comment, review.sha256) == (comment, sha256):
        return review
    _check_open(review, sha256)
    if earlier is not None:
        raise ReviewConflict("You have already approved this version with another comment.")
    session.add(
        ReviewDecision(review_id=review.id, user_id=user_id, decision=decision, comment=comment)
    )
    if decision is Decision.REJECT:
        review.outcome = ReviewState.REJECTED
    elif decision is Decision.REQUEST_CHANGES:
        review.outcome = ReviewState.CHANGES_REQUESTED
    elif review.approvals + 1 >= review.needed:
        review.outcome = ReviewState.APPROVED
        version = read_version(session, review.document_id, review.number)
        assert version is not None
        enter_version(session, review.project_id, version, user_id)
    session.flush()
    notify(_action("decide", review, decision=decision))
    return read_review(session, review.id)


def edit_and_approve(
    session: Session,
    review_id: uuid.UUID,
    user_id: uuid.UUID,
    role: Role,
    content: dict[str, Any],
    *,
    sha256: str,
    comment: str | None = None,
    note: str | None = None,
    before_texts: Callable[[int], None] = lambda _size: None,
    notify: Notify,
) -> Review:
    """Store this content as a new version and approve it. Repeating the request has no effect.

    If the content did not change, the existing version is approved.

    The review of the previous version is dismissed with its approvals. The new version gets a review on the
    same terms, which starts with the approval of its author.

    :param sha256: the hash of the content that the person has read
    :param note: the note of the new version
    :param before_texts: see :func:`combine_core.documents.edit_document`
    :raises MayNotDecide: if the terms of the review do not allow this person or authors to decide
    :raises ReviewConflict: if the review has ended, or the person has read another version
    :raises InvalidContent: if the content does not fit the schema of the line
    """
    comment = _clean_comment(comment, Decision.APPROVE)
    review = _lock_for_decision(session, review_id, user_id, role)
    if not review.author_may_decide:
        raise MayNotDecide(
            "The authors of a version may not decide on this review, and editing makes you an author."
            " Request changes, or edit the document and ask for a review of the new version."
        )
    approved = _find_own_approval(session, review, user_id, comment)
    if (
        approved is not None
        and sha256 == review.sha256
        and is_newest_content(
            session,
            review.document_id,
            content,
            base=approved.number,
            author_id=user_id,
            before_texts=before_texts,
        )
    ):
        return approved
    _check_open(review, sha256)
    version = edit_document(
        session,
        review.document_id,
        content,
        base=review.number,
        author_id=user_id,
        note=note,
        before_texts=before_texts,
    )
    if version is not None:
        notify(action_of(version))
        review = _ask_again(session, review, version, notify)
    return decide(
        session,
        review.id,
        user_id,
        role,
        Decision.APPROVE,
        sha256=review.sha256,
        comment=comment,
        notify=notify,
    )


def _find_own_approval(
    session: Session, review: Review, user_id: uuid.UUID, comment: str | None
) -> Review | None:
    """Return the newest review if this person approved it, after editing the version in ``review`` or not."""
    newest = newest_review(session, review.document_id)
    if newest is None or not (newest.id == review.id or newest.number == review.number + 1):
        return None
    current = read_review(session, newest.id)
    approved = any(
        (each.user_id, each.decision, each.comment) == (user_id, Decision.APPROVE, comment)
        for each in current.decisions
    )
    return current if approved else None


def _ask_again(
    session: Session, before: Review, version: DocumentVersion, notify: Notify
) -> Review:
    """Create a review of a newer version on the terms of the previous review."""
    review = Review(
        project_id=before.project_id,
        document_id=before.document_id,
        version_id=version.id,
        number=version.number,
        sha256=version.sha256,
        asked_by=before.asked_by,
        written_by=version.author_id,
        role=before.role,
        needed=before.needed,
        author_may_decide=before.author_may_decide,
        due_at=before.due_at,
        on_expiry=before.on_expiry,
    )
    people = [user.id for user in before.people]
    _add_review(session, review, people, notify, follows=str(before.id))
    return review


def _clean_comment(comment: str | None, decision: Decision) -> str | None:
    if comment and comment.strip():
        return clean_text(comment, "comment", max_bytes=MAX_COMMENT_BYTES).strip()
    if decision is not Decision.APPROVE:
        raise InvalidReview("comment", "Describe the problem, so that somebody can fix it.")
    return None


def obstacle_to_decide(review: Review, user_id: uuid.UUID, role: Role) -> str | None:
    """Return the reason why a member with this role may not decide on this review, or ``None`` if they may.

    :param review: the review with its people
    """
    if role not in DECIDING:
        return "Only reviewers and owners of the project can decide."
    if review.role is None and user_id not in {person.id for person in review.people}:
        return "Only the people named in this review can decide, and you are not one of them."
    if review.role is not None and not _includes(role, Role(review.role)):
        return "Only owners of the project can decide on this review."
    if not review.author_may_decide and user_id in (review.asked_by, review.written_by):
        return "You asked for this review or wrote this version, so somebody else must decide."
    return None


def withdraw(
    session: Session, review_id: uuid.UUID, user_id: uuid.UUID, role: Role, *, notify: Notify
) -> Review:
    """End an open review without a decision. Repeating this has no effect.

    :raises MayNotDecide: if the user neither asked for the review nor owns the project
    :raises ReviewConflict: if the review has ended
    """
    review = _lock(session, review_id)
    if user_id != review.asked_by and role is not Role.OWNER:
        raise MayNotDecide(
            "Only the person who asked for a review and owners of the project can withdraw it."
        )
    if review.state == ReviewState.WITHDRAWN:
        return review
    _check_open(review)
    review.outcome = ReviewState.WITHDRAWN
    session.flush()
    notify(_action("withdraw", review))
    return read_review(session, review_id)


def _lock(session: Session, review_id: uuid.UUID) -> Review:
    """Lock the document of a review against new decisions and versions, and return the review."""
    lock_document(session, read_review(session, review_id).document_id)
    return read_review(session, review_id)


def _lock_for_decision(
    session: Session, review_id: uuid.UUID, user_id: uuid.UUID, role: Role
) -> Review:
    """Lock a review and check that this person may decide on it."""
    review = _lock(session, review_id)
    obstacle = obstacle_to_decide(review, user_id, role)
    if obstacle is not None:
        raise MayNotDecide(obstacle)
    return review


def _check_open(review: Review, sha256: str | None = None) -> None:
    """Raise an error if the review has ended or its content does not have this hash."""
    if review.state == ReviewState.OPEN:
        if sha256 in (None, review.sha256):
            return
        raise ReviewConflict(
            f"You have read another version than the one in review, which is version {review.number}"
            f" ({review.sha256[:12]}). Read that version and decide again."
        )
    last = review.decisions[-1].user if review.decisions else None
    by = f"by {last.name}" if last else "by somebody else"
    number = review.number
    messages = {
        ReviewState.APPROVED: f"Version {number} was approved {by}. The review has ended.",
        ReviewState.REJECTED: f"Version {number} was rejected {by}. The review has ended.",
        ReviewState.CHANGES_REQUESTED: f"Changes were requested {by}. The review has ended.",
        ReviewState.EXPIRED: "This review has expired. Ask for a new one.",
        ReviewState.WITHDRAWN: "This review was withdrawn. Ask for a new one.",
        ReviewState.DISMISSED: (
            f"Version {number} was replaced by version {review.document.head}."
            " Read the new version and ask for a review of it."
        ),
    }
    raise ReviewConflict(messages[ReviewState(review.state)])
