"""Mail about reviews and mentions, if the service knows a mail server.

A request queues a job in its own transaction (:func:`queue_mail`). A worker finds out whom it concerns and
sends the letters (:mod:`combine_core.mail.delivery`). Jobs hold ids alone; addresses and names are read when
a letter is sent, and only if it still concerns the person.
"""

from __future__ import annotations

import uuid

from pyramid.config import Configurator

from combine_core.mail.jobs import Occasion, enqueue_mail
from combine_core.settings.core import CoreSettings
from combine_core.users import DeedDone

_OCCASIONS = {str(one): one for one in Occasion}


def queue_mail(done: DeedDone) -> None:
    """Subscriber: queue the mail about what was done, in the same transaction."""
    occasion = _OCCASIONS.get(done.deed.action)
    if occasion is not None:
        thing_id = uuid.UUID(done.deed.target.partition(":")[2])
        enqueue_mail(done.request.dbsession, occasion, thing_id, by=done.request.identity.user_id)


def includeme(config: Configurator) -> None:
    """Listen to deeds if mail is on."""
    if config.add_addon_settings(CoreSettings).smtp_host is not None:
        config.add_subscriber(queue_mail, DeedDone)
