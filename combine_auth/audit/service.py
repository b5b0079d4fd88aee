"""Add events to the audit, and list them."""

from __future__ import annotations

import datetime
import logging
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from combine_auth.audit.model import Action, AuditEvent
from combine_auth.settings import AuthSettings
from combine_core.database import Page, paginate, session_factory
from combine_core.database.expiry import delete_expired
from combine_core.settings import CoreSettings
from combine_core.settings.redaction import REDACTOR
from combine_core.users import Deed, DeedDone, RoleChanged, find_user

if TYPE_CHECKING:
    from pyramid.config import Configurator

logger = logging.getLogger(__name__)

# The trigger of migration 0005 refuses to delete younger events.
KEPT_FOR = datetime.timedelta(days=365)
# Whoever runs a command on the machine of the service.
OPERATOR = "operator"
MAX_TEXT_LENGTH = 500
MAX_LIST_LENGTH = 100
# Characters of a text that are looked at for secrets; the rest is dropped.
_LONGEST_READ = 10_000
# Details of settings events that only the next start needs.
DIGESTS = "digests"
DIGEST_KEY = "key"
_HIDDEN_DETAILS = frozenset({DIGESTS, DIGEST_KEY})
# The largest difference between the clocks of our machines and that of the database.
_CLOCK_LEEWAY = datetime.timedelta(hours=1)

# What PostgreSQL cannot store, and what would let one event look like another on a terminal.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def record(
    session: Session,
    action: Action,
    *,
    outcome: str = "ok",
    actor_id: uuid.UUID | None = None,
    actor: str | None = None,
    target: str | None = None,
    ip: str | None = None,
    request_id: str | None = None,
    **details: Any,
) -> None:
    """Add an event in the transaction of the action itself, so that both are stored or neither.

    :param outcome: "ok", or the code of the refusal
    :param actor_id: the user who did it, if known
    :param actor: the user's email address, or another name such as "operator"
    :param target: what it was done to, such as ``user:<id>`` or ``session:<id>``
    :param details: anything else that matters. Secrets in texts are masked, and texts are cut at
        ``MAX_TEXT_LENGTH`` characters
    """
    session.add(
        AuditEvent(
            action=action,
            outcome=_clean(outcome),
            actor_id=actor_id,
            actor=_clean(actor),
            target=_clean(target),
            ip=_clean(ip),
            request_id=_clean(request_id),
            details=_storable(details),
        )
    )
    now = datetime.datetime.now(datetime.UTC)
    delete_expired(
        session,
        AuditEvent,
        # Ids are in the order of time, so that their index finds the old events.
        AuditEvent.id < _first_id_at(now - KEPT_FOR),
        AuditEvent.created_at < func.now() - KEPT_FOR,
    )


def record_request(
    request: Any,
    action: Action,
    *,
    session: Session | None = None,
    actor_id: uuid.UUID | None = None,
    actor: str | None = None,
    **event: Any,
) -> None:
    """Add an event that a request has caused, with its address and its request id.

    :param session: default: ``request.dbsession``, so that the event is stored only if the request
        succeeds
    :param actor_id: default: the signed-in user. During a sign-in there is none yet: name the user
    :param event: what else :func:`record` takes
    """
    origin = _origin(request, actor_id, actor)
    record(session or request.dbsession, action, **origin, **event)


def record_apart(
    request: Any,
    action: Action,
    *,
    outcome: str,
    once_an_hour: bool = False,
    actor_id: uuid.UUID | None = None,
    actor: str | None = None,
    **event: Any,
) -> None:
    """Add an event about a refused request, whose own transaction is rolled back.

    With ``once_an_hour`` an anonymous request adds nothing if one from its address did so in the last hour.

    The event is written after the request has returned its connection: two connections for one request
    could exhaust the pool. A failure to write is logged, and changes nothing else.
    """
    try:
        origin = _origin(request, actor_id, actor)
    except SQLAlchemyError:
        # The request may have been refused because of the database.
        origin = {"actor_id": actor_id, "actor": actor, "ip": request.remote_addr}

    def write(request: Any) -> None:
        try:
            with session_factory(request.registry).begin() as session:
                is_anonymous = origin["actor"] is None and origin["actor_id"] is None
                if once_an_hour and is_anonymous and _was_recorded(session, action, origin["ip"]):
                    return
                record(session, action, outcome=outcome, **origin, **event)
        except SQLAlchemyError as error:
            # Only the type: the text of the error may quote the statement's parameters.
            logger.warning(
                "could not write to the audit: %s (%s): %s", action, outcome, type(error).__name__
            )

    request.add_finished_callback(write)


def _was_recorded(session: Session, action: Action, ip: str | None) -> bool:
    """Whether an anonymous refusal of this address is among the events of the last hour."""
    # One request after the other, so that two at once do not both find none.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"audit {action} {ip}"))))
    hour = datetime.timedelta(hours=1)
    since = _first_id_at(datetime.datetime.now(datetime.UTC) - hour - _CLOCK_LEEWAY)
    found = session.scalar(
        select(AuditEvent.id)
        .where(
            AuditEvent.action == action,
            AuditEvent.id >= since,
            AuditEvent.created_at > func.now() - hour,
            AuditEvent.ip == _clean(ip),
            AuditEvent.outcome != "ok",
            AuditEvent.actor.is_(None),
            AuditEvent.actor_id.is_(None),
        )
        .limit(1)
    )
    return found is not None


def _origin(request: Any, actor_id: uuid.UUID | None, actor: str | None) -> dict[str, Any]:
    identity = request.identity if actor_id is None and actor is None else None
    return {
        "actor_id": identity.user_id if identity else actor_id,
        "actor": identity.email if identity else actor,
        # The server sets it: the address that its trusted proxy named.
        "ip": request.remote_addr,
        # Set by combine_core.observe, if the application includes it.
        "request_id": getattr(request, "request_id", None),
    }


def _clean(text: str | None) -> str | None:
    if text is None:
        return None
    # First of all, so that no secret is cut in half.
    text = REDACTOR.text(text[:_LONGEST_READ])
    shown = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text[: MAX_TEXT_LENGTH + 1])
    return shown if len(shown) <= MAX_TEXT_LENGTH else f"{shown[: MAX_TEXT_LENGTH - 3]}..."


def _storable(value: Any) -> Any:
    """The value as JSON, shortened where it is long."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {_clean(str(name)): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        values = list(value) if isinstance(value, list | tuple) else sorted(value, key=str)
        return [_storable(inner) for inner in values[:MAX_LIST_LENGTH]]
    return _clean(str(value))


def _first_id_at(moment: datetime.datetime) -> uuid.UUID:
    """The smallest UUID of version 7 of this millisecond (RFC 9562, 5.7)."""
    milliseconds = min(max(0, int(moment.timestamp() * 1000)), (1 << 48) - 1)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)


@dataclass(frozen=True)
class AuditFilter:
    """Which events are asked for: those of and about the user, from ``since`` to before ``until``."""

    user: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


def list_events(
    session: Session, wanted: AuditFilter, *, cursor: str | None = None, limit: int = 50
) -> Page[AuditEvent]:
    """A page of events, the newest first. Raises InvalidCursor."""
    statement = select(AuditEvent).where(*_conditions(session, wanted))
    return paginate(session, statement, AuditEvent.id, cursor=cursor, limit=limit)


def _conditions(session: Session, wanted: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.user is not None:
        conditions.append(_involves(session, wanted.user.strip()))
    if wanted.action is not None:
        conditions.append(AuditEvent.action == wanted.action)
    if wanted.outcome is not None:
        conditions.append(AuditEvent.outcome == wanted.outcome)
    # The index is on the ids, which our machines make; the exact time is that of the database.
    if wanted.since is not None:
        conditions.append(AuditEvent.created_at >= wanted.since)
        conditions.append(AuditEvent.id >= _first_id_at(wanted.since - _CLOCK_LEEWAY))
    if wanted.until is not None:
        conditions.append(AuditEvent.created_at < wanted.until)
        conditions.append(AuditEvent.id < _first_id_at(wanted.until + _CLOCK_LEEWAY))
    return conditions


def _involves(session: Session, email: str) -> ColumnElement[bool]:
    user = find_user(session, email)
    # Includes events from before the user existed, and of a user whose address has changed since.
    by_address = func.lower(AuditEvent.actor) == email.replace("\0", "").lower()
    if user is None:
        return by_address
    return or_(AuditEvent.actor_id == user.id, AuditEvent.target == f"user:{user.id}", by_address)


def details_shown(event: AuditEvent) -> dict[str, Any]:
    """The details of an event that people see."""
    return {name: value for name, value in event.details.items() if name not in _HIDDEN_DETAILS}


def show_event(event: AuditEvent) -> dict[str, Any]:
    return {
        "id": str(event.id),
        "at": event.created_at.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z"),
        "action": event.action,
        "outcome": event.outcome,
        "actor_id": None if event.actor_id is None else str(event.actor_id),
        "actor": event.actor,
        "target": event.target,
        "ip": event.ip,
        "request_id": event.request_id,
        "details": details_shown(event),
    }


def record_role_change(change: RoleChanged) -> None:
    """Subscriber: add an event in the transaction that changes the role."""
    link: dict[str, Any] = {}
    if change.invitation_id is not None:
        link["invitation"] = change.invitation_id
    record_request(
        change.request,
        Action.MEMBER_ROLE,
        target=f"user:{change.user_id}",
        project=change.project_id,
        before=change.before,
        after=change.after,
        **link,
    )


def record_deed(done: DeedDone) -> None:
    """Subscriber: add an event in the transaction of what was done."""
    deed = done.deed
    record_request(done.request, Action(deed.action), target=deed.target, **deed.details)


def record_command(session: Session, deed: Deed) -> None:
    """Add an event about what a command has done; the entry point in ``combine.deeds``."""
    record(session, Action(deed.action), actor=OPERATOR, target=deed.target, **deed.details)


def includeme(config: Configurator) -> None:
    """Record what combine_core changes in projects, and keep secrets out of all events."""
    for addon in (CoreSettings, AuthSettings):
        REDACTOR.add(config.add_addon_settings(addon).secrets())
    config.add_subscriber(record_role_change, RoleChanged)
    config.add_subscriber(record_deed, DeedDone)
