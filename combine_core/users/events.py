"""Pyramid events for add-ons: ``config.add_subscriber(note, RoleChanged)``."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from pyramid.request import Request

from combine_core.users.permission import Role


@dataclass(frozen=True)
class RoleChanged:
    """Somebody has become a member, has another role, or is a member no longer.

    Sent within the transaction of the change: what a subscriber writes with ``request.dbsession`` is
    stored with it or not at all.

    :ivar before: ``None``: was no member
    :ivar after: ``None``: is no member any more
    """

    request: Request
    project_id: uuid.UUID
    user_id: uuid.UUID
    before: Role | None
    after: Role | None
