"""Read the audit: the newest lines first, by who, what and when."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from combine_auth.audit.model import AuditEvent
from combine_auth.audit.record import first_key_of
from combine_auth.audit.settings_changes import DIGESTS, KEY
from combine_core.database import Page, paginate
from combine_core.users import find_user

# How far the clocks of our machines may be from that of the database.
_LEEWAY = datetime.timedelta(hours=1)
# What lines of settings hold for the next start alone.
_NOT_SHOWN = frozenset({DIGESTS, KEY})


@dataclass(frozen=True)
class Wanted:
    """Which lines are asked for; ``None``: whichever.

    :ivar user: an e-mail address: what this user did, and what was done to it
    :ivar since: not before
    :ivar until: before
    """

    user: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


def list_events(
    session: Session, wanted: Wanted, *, cursor: str | None = None, limit: int = 50
) -> Page[AuditEvent]:
    """A page of lines, the newest first.

    :raises InvalidCursor: the cursor is not one of ours
    """
    statement = select(AuditEvent).where(*_conditions(session, wanted))
    return paginate(session, statement, AuditEvent.id, cursor=cursor, limit=limit)


def _conditions(session: Session, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.user is not None:
        conditions.append(_about(session, wanted.user.strip()))
    if wanted.action is not None:
        conditions.append(AuditEvent.action == wanted.action)
    if wanted.outcome is not None:
        conditions.append(AuditEvent.outcome == wanted.outcome)
    # Keys are in the order of time, and have the index; the column has the database's own time.
    if wanted.since is not None:
        conditions.append(AuditEvent.created_at >= wanted.since)
        conditions.append(AuditEvent.id >= first_key_of(wanted.since - _LEEWAY))
    if wanted.until is not None:
        conditions.append(AuditEvent.created_at < wanted.until)
        conditions.append(AuditEvent.id < first_key_of(wanted.until + _LEEWAY))
    return conditions


def _about(session: Session, email: str) -> ColumnElement[bool]:
    user = find_user(session, email)
    # Also lines from before it was a user, and of one whose address is another by now.
    by_address = func.lower(AuditEvent.actor) == email.replace("\0", "").lower()
    if user is None:
        return by_address
    return or_(AuditEvent.actor_id == user.id, AuditEvent.target == f"user:{user.id}", by_address)


def details_shown(event: AuditEvent) -> dict[str, Any]:
    """What else a line says, to people."""
    return {name: value for name, value in event.details.items() if name not in _NOT_SHOWN}


def show_event(event: AuditEvent) -> dict[str, Any]:
    """A line as JSON."""
    return {
        "id": str(event.id),
        "at": event.created_at.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z"),
        "action": event.action,
        "outcome": event.outcome,
        "actor_id": _text(event.actor_id),
        "actor": event.actor,
        "target": event.target,
        "ip": event.ip,
        "request_id": event.request_id,
        "details": details_shown(event),
    }


def _text(key: uuid.UUID | None) -> str | None:
    return None if key is None else str(key)
