"""Adds, lists, resolves and deletes comments on statements.

A comment names a version and the place of its statement there, and keeps the words of the statement. It is
shown at the statement of the newest version that has the same words.
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
from combine_core.users import Deed, Membership, User

MOST_COMMENT_BYTES = 10_000
# More addresses in one comment are not looked at.
MOST_MENTIONS = 20
_MENTION = re.compile(r"(?<!\S)@([^\s@]+@[^\s@]*[^\s@.,;:!?)\]}>])")


class InvalidComment(ValueError):
    """The comment lacks something. The text says what."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


class MayNotDelete(PermissionError):
    """The comment is somebody else's."""


def add_comment(
    session: Session,
    document_id: uuid.UUID,
    author_id: uuid.UUID,
    *,
    number: int,
    pointer: str,
    text: str,
    notify: Callable[[Deed], object],
) -> Comment:
    """Say something about a statement. Members whose address follows an ``@`` find it in their inbox.

    :param number: of the version that the author has seen
    :param pointer: to the statement in it
    :param notify: takes what was done, within its transaction
    :raises InvalidComment: there is no such version or statement, or the text is empty
    :raises InvalidText: the text cannot be stored
    """
    if not text.strip():
        raise InvalidComment("text", "Write what you want to say about the statement.")
    cleaned = clean_text(text, "text", max_bytes=MOST_COMMENT_BYTES).strip()
    version = read_version(session, document_id, number)
    if version is None:
        raise InvalidComment("version", f"This document has no version {number}.")
    statement = dict(located_statements(version.content)).get(pointer)
    if statement is None:
        raise InvalidComment("pointer", f"Version {number} has no statement in this place.")
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
        CommentMention(comment_id=comment.id, user_id=one) for one in mentioned if one != author_id
    )
    session.flush()
    of_version = {"document": str(document_id), "version": number}
    notify(Deed("comment-add", f"comment:{comment.id}", of_version))
    return read_comment(session, comment.id)


def _mentioned(session: Session, project_id: uuid.UUID, text: str) -> Sequence[uuid.UUID]:
    """The members of the project whose address stands in the text."""
    addresses = list(dict.fromkeys(one.lower() for one in _MENTION.findall(text)))[:MOST_MENTIONS]
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
    """The comments on a document, newest first."""
    of_document = _whole().where(Comment.document_id == document_id)
    if only_open:
        of_document = of_document.where(Comment.resolved_at.is_(None))
    return paginate(session, of_document, Comment.id, cursor=cursor, limit=limit)


def read_comment(session: Session, comment_id: uuid.UUID) -> Comment:
    """A comment with all that belongs to it, as it is now."""
    return session.scalars(
        _whole().where(Comment.id == comment_id).execution_options(populate_existing=True)
    ).one()


def set_resolved(
    session: Session, comment_id: uuid.UUID, user_id: uuid.UUID, *, resolved: bool
) -> Comment:
    """Resolve a comment, or open it again. One that is so already stays as it is."""
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
    notify: Callable[[Deed], object],
) -> None:
    """Delete a comment of the user's own.

    :param notify: takes what was done, within its transaction
    :raises MayNotDelete: it is somebody else's
    """
    comment = session.get_one(Comment, comment_id, with_for_update=True)
    if comment.author_id != user_id:
        raise MayNotDelete("Only its author deletes a comment. You may resolve it.")
    session.delete(comment)
    session.flush()
    of_version = {"document": str(comment.document_id), "version": comment.number}
    notify(Deed("comment-delete", f"comment:{comment_id}", of_version))


def unread_mentions(user_id: uuid.UUID | BindParameter[uuid.UUID]) -> Select[uuid.UUID]:
    """The ids of the comments that mention a person who has not read them, in projects of theirs."""
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
    """The comments that :func:`unread_mentions` names, newest first."""
    waiting = (
        _whole()
        .options(joinedload(Comment.document, innerjoin=True))
        .where(Comment.id.in_(unread_mentions(user_id)))
    )
    return paginate(session, waiting, Comment.id, cursor=cursor, limit=limit)


def mark_read(session: Session, comment_id: uuid.UUID, user_id: uuid.UUID) -> None:
    """Take a mention out of the inbox of a person, if it is there."""
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
class Placed:
    """Comments beside the statements of a version.

    :ivar at: by the pointer of the statement
    :ivar on_earlier: those whose statement is not in the version any more
    """

    at: Mapping[str, Sequence[Comment]]
    on_earlier: Sequence[Comment]


def place_comments(content: dict[str, Any], comments: Iterable[Comment]) -> Placed:
    """Where comments stand in a version: at the statement with the same words, in the same place first."""
    words = {pointer: text_of(statement) for pointer, statement in located_statements(content)}
    first: dict[str, str] = {}
    for pointer, text in words.items():
        first.setdefault(text, pointer)
    at: dict[str, list[Comment]] = {}
    on_earlier: list[Comment] = []
    for comment in comments:
        if words.get(comment.pointer) == comment.statement:
            at.setdefault(comment.pointer, []).append(comment)
        elif comment.statement in first:
            at.setdefault(first[comment.statement], []).append(comment)
        else:
            on_earlier.append(comment)
    return Placed(at, on_earlier)


def _whole() -> Select[Comment]:
    return select(Comment).options(
        joinedload(Comment.author),
        joinedload(Comment.resolver),
        selectinload(Comment.mentioned),
    )
