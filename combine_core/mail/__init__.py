"""Mail about reviews and mentions, if a mail server is configured.

A request queues a job in its own transaction (:func:`queue_mail`). A worker determines the recipients and
sends the messages (:mod:`combine_core.mail.delivery`). Jobs contain only ids. Addresses and names are read
when a message is sent, and only if it still concerns the recipient.
"""

from __future__ import annotations

import uuid
from enum import StrEnum

from pyramid.config import Configurator
from sqlalchemy.orm import Session

from combine_core.jobs import enqueue
from combine_core.settings.core import CoreSettings
from combine_core.users import ActionDone

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


_OCCASIONS = {str(occasion): occasion for occasion in Occasion}


def queue_mail(done: ActionDone) -> None:
    """Queue the mail about an action, in the transaction of the action. Subscriber."""
    occasion = _OCCASIONS.get(done.action.name)
    if occasion is not None:
        object_id = uuid.UUID(done.action.target.partition(":")[2])
        enqueue_mail(done.request.dbsession, occasion, object_id, by=done.request.identity.user_id)


def includeme(config: Configurator) -> None:
    if config.add_addon_settings(CoreSettings).smtp_host is not None:
        config.add_subscriber(queue_mail, ActionDone)
