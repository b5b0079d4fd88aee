"""Asks for reviews and takes decisions.

A review names one version of a document. Its state is computed when it is read: a newer version of the
document dismisses it, however that version was made, and the clock of the database ends it. Whoever asks
or decides holds the lock on the document, which also writers of versions hold.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    func,
    select,
)
from sqlalchemy.orm import Session, joinedload

from combine_core.documents import (
    DocumentVersion,
    deed_of,
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
from combine_core.users import ROLE_PERMISSIONS, Deed, Membership, Permission, Role, User

MOST_NEEDED = 20
MOST_PEOPLE = 50
MOST_COMMENT_BYTES = 10_000
# Takes what was done, within its transaction. A face passes it on to the add-ons.
Notify = Callable[[Deed], object]
# The roles that decide.
DECIDING = [role for role in Role if Permission.DOCUMENTS_REVIEW in ROLE_PERMISSIONS[role]]


class InvalidReview(ValueError):
    """The review or the decision lacks something. The text says what."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


class MayNotDecide(PermissionError):
    """The rule of the review leaves this person out. The text says why."""


class ReviewConflict(ValueError):
    """What the person has seen has changed. The text says how and what to do."""


@dataclass(frozen=True)
class Terms:
    """Who decides, and until when.

    :ivar role: who decides has this role at least; not used if there are people
    :ivar people: members who decide
    :ivar needed: how many must approve
    :ivar author_may_decide: whether those who asked or wrote the version are among them
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

    :param number: of the version that the user has seen
    :raises ReviewConflict: there is a newer version, or this one is in review or approved
    :raises InvalidReview: nobody could decide, or not enough people
    """
    document = lock_document(session, document_id)
    if document is None or document.head != number:
        raise ReviewConflict(
            f"Version {number} is not the newest one of this document."
            " Open the newest one, and ask for its review."
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
    _check_no_other(session, document_id)
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
    session.add(review)
    session.flush()
    session.add_all(ReviewPerson(review_id=review.id, user_id=one) for one in people)
    session.flush()
    notify(_deed("ask", review, needed=terms.needed))
    return read_review(session, review.id)


def _deed(what: str, review: Review, **details: object) -> Deed:
    of_version = {"document": str(review.document_id), "version": review.number}
    return Deed(f"review-{what}", f"review:{review.id}", {**of_version, **details})


def _check_no_other(session: Session, document_id: uuid.UUID) -> None:
    current = newest_review(session, document_id)
    if current is not None and current.state == ReviewState.OPEN:
        raise ReviewConflict(
            f"Version {current.number} is in review already. Withdraw that review first."
        )
    if current is not None and current.state == ReviewState.APPROVED:
        raise ReviewConflict(f"Version {current.number} is approved already.")


def _check_terms(
    session: Session,
    project_id: uuid.UUID,
    terms: Terms,
    excluded: Iterable[uuid.UUID | None],
) -> Sequence[uuid.UUID]:
    """The people that the review names, each once."""
    if terms.due_at is not None and terms.due_at <= datetime.now(UTC):
        raise InvalidReview("due_at", "This time is over. Choose one that is to come.")
    if terms.on_expiry is OnExpiry.REJECT and terms.due_at is None:
        raise InvalidReview("due_at", "Say when the review ends: it is rejected then.")
    people = list(dict.fromkeys(terms.people))
    can = {
        one.user_id
        for one in list_deciders(session, project_id, terms.role if not people else None)
    }
    if unable := [one for one in people if one not in can]:
        raise InvalidReview(
            "people",
            f"{len(unable)} of these people cannot decide: they are no reviewers of the project.",
        )
    able = (set(people) or can) - set(excluded)
    if len(able) < terms.needed:
        raise InvalidReview(
            "needed",
            f"People who must approve: {terms.needed}. People who may decide: {len(able)}. Whoever asks"
            " and whoever wrote the version do not count, unless authors may decide. Invite reviewers,"
            " ask for fewer approvals, or let authors decide.",
        )
    return people


def list_deciders(
    session: Session, project_id: uuid.UUID, role: Role | None = None
) -> Sequence[Membership]:
    """The members who may decide, by name, each with its user.

    :param role: who have at least this one
    """
    roles = DECIDING if role is None else [one for one in DECIDING if _reaches(one, role)]
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


def _reaches(role: Role, wanted: Role) -> bool:
    return list(Role).index(role) >= list(Role).index(wanted)


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
    """Take the decision of a person. The same one again changes nothing.

    Who has approved may still reject or ask for changes, as long as the review is open.

    :param role: of the person in the project
    :param sha256: of the content that the person has seen
    :raises InvalidReview: the comment is missing
    :raises MayNotDecide: the rule of the review leaves this person out
    :raises ReviewConflict: the review is over, or the person has seen another version
    """
    comment = _clean_comment(comment, decision)
    review = _locked_for(session, review_id, user_id, role)
    mine = {each.decision: each for each in review.decisions if each.user_id == user_id}
    known = mine.get(decision)
    if known is not None and (known.comment, review.sha256) == (comment, sha256):
        return review
    _check_open(review, sha256)
    if known is not None:
        raise ReviewConflict("You have approved this version already, with another comment.")
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
    notify(_deed("decide", review, decision=decision))
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
    """Make a version with this content, and approve it. The same request again changes nothing.

    A content without a difference is approved as it is.

    The review of the version before is dismissed, with the approvals that it has. The new version gets a
    review on the same terms, which begins with the approval of its author.

    :param sha256: of the content that the person has seen
    :param note: of the new version
    :param before_texts: as :func:`combine_core.documents.edit_document` has it
    :raises MayNotDecide: the rule of the review leaves this person out, or authors
    :raises ReviewConflict: the review is over, or the person has seen another version
    :raises InvalidContent: it does not fit the schema of the line
    """
    comment = _clean_comment(comment, Decision.APPROVE)
    review = _locked_for(session, review_id, user_id, role)
    if not review.author_may_decide:
        raise MayNotDecide(
            "Who edits a version is its author, and the rule of this review is that somebody else decides."
            " Ask for changes, or edit the document and ask for a review of the new version."
        )
    following = _followed_by_approval(session, review, user_id, comment)
    if (
        following is not None
        and sha256 == review.sha256
        and is_newest_content(
            session,
            review.document_id,
            content,
            base=following.number,
            author_id=user_id,
            before_texts=before_texts,
        )
    ):
        return following
    _check_open(review, sha256)
    made = edit_document(
        session,
        review.document_id,
        content,
        base=review.number,
        author_id=user_id,
        note=note,
        before_texts=before_texts,
    )
    if made is not None:
        notify(deed_of(made))
        review = _ask_again(session, review, made, notify)
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


def _followed_by_approval(
    session: Session, review: Review, user_id: uuid.UUID, comment: str | None
) -> Review | None:
    """The newest review, if this person's edit and approval of the version in ``review`` has led to it."""
    newest = newest_review(session, review.document_id)
    if newest is None or not (newest.id == review.id or newest.number == review.number + 1):
        return None
    following = read_review(session, newest.id)
    approved = any(
        (each.user_id, each.decision, each.comment) == (user_id, Decision.APPROVE, comment)
        for each in following.decisions
    )
    return following if approved else None


def _ask_again(
    session: Session, before: Review, version: DocumentVersion, notify: Notify
) -> Review:
    """A review of a newer version on the terms of the one before."""
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
    session.add(review)
    session.flush()
    session.add_all(ReviewPerson(review_id=review.id, user_id=one.id) for one in before.people)
    session.flush()
    notify(_deed("ask", review, needed=review.needed, follows=str(before.id)))
    return review


def _clean_comment(comment: str | None, decision: Decision) -> str | None:
    if comment and comment.strip():
        return clean_text(comment, "comment", max_bytes=MOST_COMMENT_BYTES).strip()
    if decision is not Decision.APPROVE:
        raise InvalidReview("comment", "Say what is wrong, so that somebody can mend it.")
    return None


def obstacle_to_decide(review: Review, user_id: uuid.UUID, role: Role) -> str | None:
    """Why a member with this role does not decide on this review; ``None`` if they may.

    :param review: with its people
    """
    if role not in DECIDING:
        return "Only reviewers and owners of the project decide."
    if review.role is None and user_id not in {one.id for one in review.people}:
        return "This review names the people who decide, and you are not one of them."
    if review.role is not None and not _reaches(role, Role(review.role)):
        return "Only owners of the project decide on this review."
    if not review.author_may_decide and user_id in (review.asked_by, review.written_by):
        return "You asked for this review or wrote this version. Its rule is that somebody else decides."
    return None


def withdraw(
    session: Session, review_id: uuid.UUID, user_id: uuid.UUID, role: Role, *, notify: Notify
) -> Review:
    """End an open review without a decision. That of a withdrawn one has no effect.

    :raises MayNotDecide: somebody else has asked for it, and the user is no owner
    :raises ReviewConflict: the review is over
    """
    review = _locked(session, review_id)
    if user_id != review.asked_by and role is not Role.OWNER:
        raise MayNotDecide("Only the person who asked for a review and owners withdraw it.")
    if review.state == ReviewState.WITHDRAWN:
        return review
    _check_open(review)
    review.outcome = ReviewState.WITHDRAWN
    session.flush()
    notify(_deed("withdraw", review))
    return read_review(session, review_id)


def _locked(session: Session, review_id: uuid.UUID) -> Review:
    """The review, whose document is locked: neither a decision nor a new version comes in between."""
    lock_document(session, read_review(session, review_id).document_id)
    return read_review(session, review_id)


def _locked_for(session: Session, review_id: uuid.UUID, user_id: uuid.UUID, role: Role) -> Review:
    """The same, for a person who decides."""
    review = _locked(session, review_id)
    obstacle = obstacle_to_decide(review, user_id, role)
    if obstacle is not None:
        raise MayNotDecide(obstacle)
    return review


def _check_open(review: Review, sha256: str | None = None) -> None:
    """Refuse what comes too late, or from somebody who has seen another content than ``sha256``."""
    if review.state == ReviewState.OPEN:
        if sha256 in (None, review.sha256):
            return
        raise ReviewConflict(
            f"You have seen another version than the one in review, which is version {review.number}"
            f" ({review.sha256[:12]}). Read that one, and decide again."
        )
    last = review.decisions[-1].user if review.decisions else None
    by = f"by {last.name}" if last else "by somebody else"
    number = review.number
    why = {
        ReviewState.APPROVED: f"Version {number} was approved {by}. The review is over.",
        ReviewState.REJECTED: f"Version {number} was rejected {by}. The review is over.",
        ReviewState.CHANGES_REQUESTED: f"Changes were asked for {by}. The review is over.",
        ReviewState.EXPIRED: "The time for this review is over. Ask for another one.",
        ReviewState.WITHDRAWN: "This review was withdrawn. Ask for another one.",
        ReviewState.DISMISSED: (
            f"Version {number} is no longer the newest: version {review.document.head} has replaced"
            " it. Read that one, and ask for a review of it."
        ),
    }
    raise ReviewConflict(why[ReviewState(review.state)])
