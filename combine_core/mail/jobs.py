"""Queues mail for the workers, and names the reasons for mail."""

from __future__ import annotations

import uuid
from enum import StrEnum

from sqlalchemy.orm import Session

from combine_core.jobs import enqueue

QUEUE = "mail"
TASK = "combine.mail"
# Only one message is sent at a time, so a mail server that does not respond blocks one thread of all workers.
_LOCK = "mail"


class Occasion(StrEnum):
    """An action that people get mail about."""

    REVIEW_ASK = "review-ask"
    REVIEW_DECIDE = "review-decide"
    COMMENT_ADD = "comment-add"


class MailNotSent(Exception):
    """The error for a message that was not sent. Its text contains no address.

    :ivar is_final: whether retrying is useless
    """

    def __init__(self, why: str, *, is_final: bool) -> None:
        super().__init__(why)
        self.is_final = is_final


def enqueue_mail(
    session: Session,
    occasion: Occasion,
    object_id: uuid.UUID,
    *,
    by: uuid.UUID,
    to: uuid.UUID | None = None,
) -> None:
    """Queue mail about a review or a comment.

    :param by: the user who acted, and who gets no mail
    :param to: the recipient; ``None`` lets the worker determine all recipients
    """
    enqueue(
        session,
        TASK,
        QUEUE,
        lock=_LOCK,
        occasion=occasion,
        thing_id=str(object_id),
        by=str(by),
        to="" if to is None else str(to),
    )
