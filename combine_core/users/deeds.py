"""What people have done to things, for add-ons such as the audit.

Views tell it with :func:`tell`, and add-ons subscribe to :class:`DeedDone`. Commands have no application;
they tell it to the functions in the entry-point group ``combine.deeds``. Those in ``combine.erasers`` remove
what an add-on has of a person.
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

LISTENERS = "combine.deeds"
ERASERS = "combine.erasers"


@dataclass(frozen=True)
class Deed:
    """Something was renamed, archived, deleted or erased, or somebody was invited.

    :ivar action: such as ``project-delete``
    :ivar target: such as ``project:ID``
    :ivar details: what else matters: numbers and ids, no names and texts, which could not be erased
    """

    action: str
    target: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeedDone:
    """A Pyramid event, sent within the transaction of the deed."""

    request: Request
    deed: Deed


def tell(request: Request, deed: Deed) -> None:
    """Tell the add-ons of the application."""
    request.registry.notify(DeedDone(request, deed))


def tell_of_command(session: Session, deed: Deed) -> None:
    """Tell the installed add-ons, in the transaction of the session."""
    for entry_point in entry_points(group=LISTENERS):
        entry_point.load()(session, deed)


def erase_in_add_ons(session: Session, user_id: uuid.UUID) -> dict[str, int]:
    """Let the installed add-ons remove what they have of a person; how many things of each kind."""
    removed: dict[str, int] = {}
    for entry_point in entry_points(group=ERASERS):
        removed |= entry_point.load()(session, user_id)
    return removed
