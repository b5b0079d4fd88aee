"""Mail about reviews and mentions, if a mail server is configured.

A request queues a job in its own transaction (:func:`queue_mail`). A worker determines the recipients and
sends the messages (:mod:`combine_core.mail.delivery`). Jobs contain only ids. Addresses and names are read
when a message is sent, and only if it still concerns the recipient.
"""

from __future__ import annotations

import uuid

from pyramid.config import Configurator

from combine_core.mail.jobs import Occasion, enqueue_mail
from combine_core.settings.core import CoreSettings
from combine_core.users import ActionDone

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
