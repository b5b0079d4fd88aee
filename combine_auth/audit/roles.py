"""Changes of roles in projects, as combine_core tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_auth.audit.action import Action
from combine_auth.audit.record import record_request
from combine_core.users import RoleChanged

if TYPE_CHECKING:
    from pyramid.config import Configurator


def note(change: RoleChanged) -> None:
    """Subscriber: a line in the transaction of the change."""
    record_request(
        change.request,
        Action.MEMBER_ROLE,
        target=f"user:{change.user_id}",
        project=change.project_id,
        before=change.before,
        after=change.after,
    )


def includeme(config: Configurator) -> None:
    """Listen."""
    config.add_subscriber(note, RoleChanged)
