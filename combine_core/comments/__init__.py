"""Comments of people on the statements of a document, and the people that they mention."""

from combine_core.comments.model import Comment, CommentMention
from combine_core.comments.service import (
    InvalidComment,
    MayNotDelete,
    add_comment,
    clean_comment,
    delete_comment,
    list_comments,
    list_mentions,
    mark_read,
    place_comments,
    read_comment,
    set_resolved,
    unread_mentions,
)

__all__ = [
    "Comment",
    "CommentMention",
    "InvalidComment",
    "MayNotDelete",
    "add_comment",
    "clean_comment",
    "delete_comment",
    "list_comments",
    "list_mentions",
    "mark_read",
    "place_comments",
    "read_comment",
    "set_resolved",
    "unread_mentions",
]
