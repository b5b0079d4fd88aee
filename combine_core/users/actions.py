"""Reports the actions of people to add-ons such as the audit.

Views call :func:`report_action`, and add-ons subscribe to :class:`ActionDone`. Commands have no
application, so :func:`report_command` calls the functions in the entry-point group ``combine.actions``. The
functions in ``combine.erasers`` delete the data that an add-on stores about a user.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from pyramid.request import Request

LISTENERS = "combine.actions"
ERASERS = "combine.erasers"


@dataclass(frozen=True)
class UserAction:
    """An action of a person, such as a deletion or an invitation.

    :ivar name: the name, such as ``project-delete``
    :ivar target: the object of the action, such as ``project:ID``
    :ivar details: further numbers and ids. Names and texts are not allowed, because they cannot be erased.
    """

    name: str
    target: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ActionDone:
    """A Pyramid event that is sent in the transaction of the action."""

    request: Request
    action: UserAction


def report_action(request: Request, action: UserAction) -> None:
    """Report an action to the add-ons of the application."""
    request.registry.notify(ActionDone(request, action))


def report_command(session: Session, action: UserAction) -> None:
    """Report an action to the installed add-ons in the transaction of the session."""
    for entry_point in entry_points(group=LISTENERS):
        entry_point.load()(session, action)


def erase_in_add_ons(session: Session, user_id: uuid.UUID) -> dict[str, int]:
    """Delete the data of a user in the installed add-ons. Return the number of rows of each kind."""
    removed: dict[str, int] = {}
    for entry_point in entry_points(group=ERASERS):
        removed |= entry_point.load()(session, user_id)
    return removed
