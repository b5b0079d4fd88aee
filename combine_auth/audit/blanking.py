"""Takes the names and addresses of a person out of the audit. What happened, when and to what stays.

The database lets only its function ``blank_audit_events`` change events. :func:`erase_person` alone calls it,
for ``combine erase user``, and adds an event about that.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ARRAY, Text, cast, func, or_, select
from sqlalchemy.orm import Session

from combine_auth.audit.model import Action, AuditEvent
from combine_auth.audit.service import OPERATOR, record
from combine_auth.clients.service import delete_client, list_clients
from combine_auth.identities.model import LinkedIdentity
from combine_core.users import User

# Details of events that say who a person is.
_ADDRESS = "email"
_NAMES = frozenset({"name", "subject"})


def erase_person(session: Session, user_id: uuid.UUID) -> Mapping[str, int]:
    """Remove what combine_auth has of a person, who may be deleted already. The user's row stays.

    :returns: how many things of each kind
    """
    addresses, names = _who(session, user_id)
    clients = list_clients(session, user_id)
    for client in clients:
        delete_client(session, client)
    # What is to be blanked may be an event of this transaction.
    session.flush()
    blanked = session.scalar(
        select(
            func.blank_audit_events(
                user_id, cast(sorted(addresses), ARRAY(Text)), cast(sorted(names), ARRAY(Text))
            )
        )
    )
    # The function says so itself, whatever becomes of the rest.
    record(
        session, Action.BLANK, actor=OPERATOR, target=f"user:{user_id}", events=int(blanked or 0)
    )
    return {"clients": len(clients), "events": int(blanked or 0)}


def _who(session: Session, user_id: uuid.UUID) -> tuple[set[str], set[str]]:
    """All addresses and all names that the service knows of this person, in lower case."""
    addresses: set[str | None] = set()
    names: set[str | None] = set()
    user = session.get(User, user_id)
    if user is not None:
        addresses.add(user.email)
        names.add(user.name)
    identities = select(LinkedIdentity).where(LinkedIdentity.user_id == user_id)
    for identity in session.scalars(identities):
        addresses.add(identity.email)
        names |= {identity.subject, identity.object_id}
    about = f"user:{user_id}"
    events = select(AuditEvent).where(
        or_(AuditEvent.actor_id == user_id, AuditEvent.target == about)
    )
    for event in session.scalars(events):
        if event.actor_id == user_id:
            addresses.add(event.actor)
        for key, text in _texts(event.details):
            # An administrator's events have addresses of others.
            if key == _ADDRESS and event.target == about:
                addresses.add(text)
            elif key in _NAMES:
                names.add(text)
    return {address for address in _lower(addresses) if "@" in address}, _lower(names)


def _lower(texts: set[str | None]) -> set[str]:
    return {text.lower() for text in texts if text}


def _texts(details: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each text in the details, with its key."""
    for key, value in details.items():
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict):
            yield from _texts(value)
