"""Adds, lists, resolves and deletes comments on statements.

A comment stores the version, the pointer to its statement and the text of the statement. It is shown at the
statement with the same text in the newest version.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Select, func, select, update
from sqlalchemy.orm import Session, joinedload, selectinload

from combine_core.comments.model import Comment, CommentMention
from combine_core.database import Page, paginate
from combine_core.documents import located_statements, read_version, text_of
from combine_core.text import clean_text
from combine_core.users import Membership, User, UserAction

MAX_COMMENT_BYTES = 10_000
# Further addresses in a comment are ignored.
MAX_MENTIONS = 20
_MENTION = re.compile(r"(?<!\S)@([^\s@]+@[^\s@]*[^\s@.,;:!?)\]}>])")


class InvalidComment(ValueError):
    """An invalid comment. ``field`` names the invalid field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class MayNotDelete(PermissionError):
    """Raised when the comment was written by somebody else."""


def add_comment(
    session: Session,
    document_id: uuid.UUID,
    author_id: uuid.UUID,
    *,
    number: int,
    pointer: str,
    text: str,
    notify: Callable[[UserAction], object],
) -> Comment:
    """Add a comment to a statement. Members whose address follows an ``@`` get it in their inbox.

    :param number: the number of the version that the author has read
    :param pointer: the JSON Pointer to the statement in that version
    :param notify: called with the action in its transaction
    :raises InvalidComment: if the version or the statement does not exist, or the text is empty
    :raises InvalidText: if the text cannot be stored
    """
    cleaned = clean_comment(text)
    version = read_version(session, document_id, number)
    if version is None:
        raise InvalidComment("version", f"This document has no version {number}.")
    statement = dict(located_statements(version.content)).get(pointer)
    if statement is None:
        raise InvalidComment("pointer", f"Version {number} has no statement at this pointer.")
    comment = Comment(
        project_id=version.document.project_id,
        document_id=document_id,
        version_id=version.id,
        number=number,
        pointer=pointer,
        statement=text_of(statement),
        text=cleaned,
        author_id=author_id,
    )
    session.add(comment)
    session.flush()
    mentioned = _mentioned(session, version.document.project_id, cleaned)
    session.add_all(
        CommentMention(comment_id=comment.id, user_id=user_id)
        for user_id in mentioned
        if user_id != author_id
    )
    session.flush()
    details = {"document": str(document_id), "version": number}
    notify(UserAction("comment-add", f"comment:{comment.id}", details))
    return read_comment(session, comment.id)


def clean_comment(text: str) -> str:
    """Return the text as it is stored.

    :raises InvalidComment, InvalidText: as :func:`add_comment`
    """
    if not text.strip():
        raise InvalidComment("text", "Write what you want to say about the statement.")
    return clean_text(text, "text", max_bytes=MAX_COMMENT_BYTES).strip()


def _mentioned(session: Session, project_id: uuid.UUID, text: str) -> Sequence[uuid.UUID]:
    """Return the members of the project whose address is in the text."""
    addresses = list(dict.fromkeys(address.lower() for address in _MENTION.findall(text)))[
        :MAX_MENTIONS
    ]
    if not addresses:
        return []
    return session.scalars(
        select(User.id)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.project_id == project_id, func.lower(User.email).in_(addresses))
    ).all()


def list_comments(
    session: Session,
    document_id: uuid.UUID,
    *,
    only_open: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Comment]:
    """List the comments on a document, newest first."""
    of_document = _complete_comments().where(Comment.document_id == document_id)
    if only_open:
        of_document = of_document.where(Comment.resolved_at.is_(None))
    return paginate(session, of_document, Comment.id, cursor=cursor, limit=limit)


def read_comment(session: Session, comment_id: uuid.UUID) -> Comment:
    """Return the current state of a comment with its related objects."""
    return session.scalars(
        _complete_comments()
        .where(Comment.id == comment_id)
        .execution_options(populate_existing=True)
    ).one()


def set_resolved(
    session: Session, comment_id: uuid.UUID, user_id: uuid.UUID, *, resolved: bool
) -> Comment:
    """Resolve a comment or open it again. Repeating this has no effect."""
    comment = session.get_one(Comment, comment_id, with_for_update=True)
    if resolved != (comment.resolved_at is not None):
        comment.resolved_at = func.now() if resolved else None
        comment.resolved_by = user_id if resolved else None
        session.flush()
    return read_comment(session, comment_id)


def delete_comment(
    session: Session,
    comment_id: uuid.UUID,
    user_id: uuid.UUID,
    *,
    notify: Callable[[UserAction], object],
) -> None:
    """Delete a comment of this user.

    :param notify: called with the action in its transaction
    :raises MayNotDelete: if somebody else wrote the comment
    """
    comment = session.get_one(Comment, comment_id, with_for_update=True)
    if comment.author_id != user_id:
        raise MayNotDelete("Only its author can delete a comment. You can resolve it instead.")
    session.delete(comment)
    session.flush()
    details = {"document": str(comment.document_id), "version": comment.number}
    notify(UserAction("comment-delete", f"comment:{comment_id}", details))


def unread_mentions(user_id: uuid.UUID | BindParameter[uuid.UUID]) -> Select[uuid.UUID]:
    """Select the ids of comments with unread mentions of a user, in projects that the user is a member of."""
    return (
        select(Comment.id)
        .join(CommentMention, CommentMention.comment_id == Comment.id)
        .join(Membership, Membership.project_id == Comment.project_id)
        .where(
            CommentMention.user_id == user_id,
            CommentMention.read_at.is_(None),
            Membership.user_id == user_id,
        )
    )


def list_mentions(
    session: Session, user_id: uuid.UUID, *, cursor: str | None = None, limit: int = 50
) -> Page[Comment]:
    """List the comments of :func:`unread_mentions`, newest first."""
    unread = (
        _complete_comments()
        .options(joinedload(Comment.document, innerjoin=True))
        .where(Comment.id.in_(unread_mentions(user_id)))
    )
    return paginate(session, unread, Comment.id, cursor=cursor, limit=limit)


def mark_read(session: Session, comment_id: uuid.UUID, user_id: uuid.UUID) -> None:
    """Remove a mention from the inbox of a user."""
    session.execute(
        update(CommentMention)
        .where(
            CommentMention.comment_id == comment_id,
            CommentMention.user_id == user_id,
            CommentMention.read_at.is_(None),
        )
        .values(read_at=func.now())
    )


@dataclass(frozen=True)
class PlacedComments:
    """The comments on the statements of a version.

    :ivar at: the comments by the pointer of their statement
    :ivar on_earlier: the comments whose statement is no longer in the version
    """

    at: Mapping[str, Sequence[Comment]]
    on_earlier: Sequence[Comment]


def place_comments(content: dict[str, Any], comments: Iterable[Comment]) -> PlacedComments:
    """Assign comments to the statements with the same text, preferably at the same pointer."""
    texts = {pointer: text_of(statement) for pointer, statement in located_statements(content)}
    first: dict[str, str] = {}
    for pointer, text in texts.items():
        first.setdefault(text, pointer)
    at: dict[str, list[Comment]] = {}
    on_earlier: list[Comment] = []
    for comment in comments:
        if texts.get(comment.pointer) == comment.statement:
            at.setdefault(comment.pointer, []).append(comment)
        elif comment.statement in first:
            at.setdefault(first[comment.statement], []).append(comment)
        else:
            on_earlier.append(comment)
    return PlacedComments(at, on_earlier)


def _complete_comments() -> Select[Comment]:
    return select(Comment).options(
        joinedload(Comment.author),
        joinedload(Comment.resolver),
        selectinload(Comment.mentioned),
    )
