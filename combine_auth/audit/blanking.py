"""Removes the names and addresses of a person from the audit. Action, time and target stay.

The database lets only its function ``blank_audit_events`` change events. Only :func:`erase_person` calls
it, for ``combine erase user``, and records this as an event.
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

# Details of events that identify a person.
_ADDRESS = "email"
_NAMES = frozenset({"name", "subject"})


def erase_person(session: Session, user_id: uuid.UUID) -> Mapping[str, int]:
    """Erase a person, who may be deleted already, from the data of combine_auth. The user's row stays.

    :returns: the number of erased items of each kind
    """
    addresses, names = _addresses_and_names(session, user_id)
    clients = list_clients(session, user_id)
    for client in clients:
        delete_client(session, client)
    # Events of this transaction must be blanked too.
    session.flush()
    blanked = session.scalar(
        select(
            func.blank_audit_events(
                user_id, cast(sorted(addresses), ARRAY(Text)), cast(sorted(names), ARRAY(Text))
            )
        )
    )
    # Recorded here, so that no blanking goes unrecorded.
    record(
        session, Action.BLANK, actor=OPERATOR, target=f"user:{user_id}", events=int(blanked or 0)
    )
    return {"clients": len(clients), "events": int(blanked or 0)}


def _addresses_and_names(session: Session, user_id: uuid.UUID) -> tuple[set[str], set[str]]:
    """Return all known addresses and names of this person, in lower case."""
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
    target = f"user:{user_id}"
    events = select(AuditEvent).where(
        or_(AuditEvent.actor_id == user_id, AuditEvent.target == target)
    )
    for event in session.scalars(events):
        if event.actor_id == user_id:
            addresses.add(event.actor)
        for key, text in _texts(event.details):
            # The events of an administrator contain addresses of other people.
            if key == _ADDRESS and event.target == target:
                addresses.add(text)
            elif key in _NAMES:
                names.add(text)
    return {address for address in _lower(addresses) if "@" in address}, _lower(names)


def _lower(texts: set[str | None]) -> set[str]:
    return {text.lower() for text in texts if text}


def _texts(details: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each text in the details, with its key."""
    for key, value in details.items():
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict):
            yield from _texts(value)
