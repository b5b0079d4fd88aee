"""Queues mail for the workers, and says when a job that failed is tried again."""

from __future__ import annotations

import uuid
from enum import StrEnum

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job
from sqlalchemy.orm import Session

from combine_core.jobs import enqueue

QUEUE = "mail"
TASK = "combine.mail"
# One mail is sent at a time, so a mail server that does not answer holds up one thread of all workers.
_LOCK = "mail"
MOST_ATTEMPTS = 6
# The first attempt to follow; each later one takes four times as long. The last one is six hours later.
_PAUSE_S = 60


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


class Patience(BaseRetryStrategy):
    """Another attempt, later and later, after those that have not failed yet."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When the job is tried again; ``None``: it is given up.

        A worker that stops hands its job back in this way, too.
        """
        is_final = isinstance(exception, MailNotSent) and exception.is_final
        if is_final or job.attempts + 1 >= MOST_ATTEMPTS:
            return None
        seconds = _PAUSE_S * 4**job.attempts
        return RetryDecision(retry_in={"seconds": seconds}, priority=-(job.attempts + 1))


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
