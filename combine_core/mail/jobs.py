"""Queues mail for the workers."""

from __future__ import annotations

import uuid
from enum import StrEnum

from sqlalchemy.orm import Session

from combine_core.jobs import enqueue

QUEUE = "mail"
TASK = "combine.mail"
# One mail is sent at a time, so a mail server that does not answer holds up one thread of all workers.
_LOCK = "mail"


class Occasion(StrEnum):
    """What people get mail about: the action of a deed."""

    REVIEW_ASK = "review-ask"
    REVIEW_DECIDE = "review-decide"
    COMMENT_ADD = "comment-add"


class MailNotSent(Exception):
    """The mail server did not take a letter. The text names no address.

    :ivar is_final: another attempt has no prospect
    """

    def __init__(self, why: str, *, is_final: bool) -> None:
        super().__init__(why)
        self.is_final = is_final


def enqueue_mail(
    session: Session,
    occasion: Occasion,
    thing_id: uuid.UUID,
    *,
    by: uuid.UUID,
    to: uuid.UUID | None = None,
) -> None:
    """Queue mail about a review or a comment.

    :param by: who has done it, and gets no mail
    :param to: this person's letter; else the worker finds out whom it concerns
    """
    enqueue(
        session,
        TASK,
        QUEUE,
        lock=_LOCK,
        occasion=occasion,
        thing_id=str(thing_id),
        by=str(by),
        to="" if to is None else str(to),
    )
