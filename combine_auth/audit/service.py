"""Records events in the audit, and lists them."""

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
from combine_core.database.metadata import delete_expired
from combine_core.settings import CoreSettings
from combine_core.settings.redaction import REDACTOR
from combine_core.users import ActionDone, RoleChanged, UserAction, find_user

if TYPE_CHECKING:
    from pyramid.config import Configurator

logger = logging.getLogger(__name__)

# The trigger of migration 0005 rejects the deletion of younger events.
KEPT_FOR = datetime.timedelta(days=365)
# The actor of commands that run on the service's machine.
OPERATOR = "operator"
MAX_TEXT_LENGTH = 500
MAX_LIST_LENGTH = 100
# The number of characters of a text that are searched for secrets; the rest is dropped.
_MAX_READ_LENGTH = 10_000
# Details of settings events that only the next start reads.
DIGESTS = "digests"
DIGEST_KEY = "key"
_HIDDEN_DETAILS = frozenset({DIGESTS, DIGEST_KEY})
# The maximum difference between the clocks of the service's machines and of the database.
_CLOCK_LEEWAY = datetime.timedelta(hours=1)

# Characters that PostgreSQL cannot store, or with which an event could imitate others on a terminal.
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
    """Record an event in the transaction of the action, so that both are stored or neither.

    :param outcome: "ok", or the code of the refusal
    :param actor_id: the user who did it, if known
    :param actor: the user's email address, or another name such as "operator"
    :param target: the object of the action, such as ``user:<id>`` or ``session:<id>``
    :param details: further data. Secrets in texts are redacted, and texts are truncated to
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
        # Ids are in chronological order, so their index finds the old events.
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
    """Record an event that a request caused, with the client's address and the request id.

    :param session: by default ``request.dbsession``, so that the event is stored only if the request
        succeeds
    :param actor_id: by default the signed-in user; required during a sign-in
    :param event: further arguments of :func:`record`
    """
    origin = _origin(request, actor_id, actor)
    record(session or request.dbsession, action, **origin, **event)


def record_refusal(
    request: Any,
    action: Action,
    *,
    outcome: str,
    once_an_hour: bool = False,
    **event: Any,
) -> None:
    """Record the refusal of a request in a transaction of its own, because the request's is rolled back.

    With ``once_an_hour``, an anonymous request is skipped if one from its address was recorded in the last
    hour.

    The event is written after the request has returned its connection, because two connections per request
    could exhaust the pool. A failure to write is only logged.
    """
    try:
        origin = _origin(request)
    except SQLAlchemyError:
        # A database fault may be the reason for the refusal.
        origin = {"actor_id": None, "actor": None, "ip": request.remote_addr}

    def write(request: Any) -> None:
        try:
            with session_factory(request.registry).begin() as session:
                is_anonymous = origin["actor"] is None and origin["actor_id"] is None
                if once_an_hour and is_anonymous and _was_recorded(session, action, origin["ip"]):
                    return
                record(session, action, outcome=outcome, **origin, **event)
        except SQLAlchemyError as error:
            # Log the type only: the text of the error may quote the statement's parameters.
            logger.warning(
                "could not write to the audit: %s (%s): %s", action, outcome, type(error).__name__
            )

    request.add_finished_callback(write)


def _was_recorded(session: Session, action: Action, ip: str | None) -> bool:
    """Check whether an anonymous refusal from this address was recorded in the last hour."""
    # Serialized, so that two concurrent requests do not both find none.
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


def _origin(
    request: Any, actor_id: uuid.UUID | None = None, actor: str | None = None
) -> dict[str, Any]:
    identity = request.identity if actor_id is None and actor is None else None
    return {
        "actor_id": identity.user_id if identity else actor_id,
        "actor": identity.email if identity else actor,
        # Set by the server, from the address that its trusted proxy reports.
        "ip": request.remote_addr,
        # Set by combine_core.observe, if the application includes it.
        "request_id": getattr(request, "request_id", None),
    }


def _clean(text: str | None) -> str | None:
    if text is None:
        return None
    # Before the truncation, so that no secret is cut in half.
    text = REDACTOR.text(text[:_MAX_READ_LENGTH])
    text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text[: MAX_TEXT_LENGTH + 1])
    return text if len(text) <= MAX_TEXT_LENGTH else f"{text[: MAX_TEXT_LENGTH - 3]}..."


def _storable(value: Any) -> Any:
    """Return the value as JSON, with long texts and lists truncated."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {_clean(str(name)): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        values = list(value) if isinstance(value, list | tuple) else sorted(value, key=str)
        return [_storable(inner) for inner in values[:MAX_LIST_LENGTH]]
    return _clean(str(value))


def _first_id_at(moment: datetime.datetime) -> uuid.UUID:
    """Return the smallest UUID version 7 of this millisecond (RFC 9562, 5.7)."""
    milliseconds = min(max(0, int(moment.timestamp() * 1000)), (1 << 48) - 1)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)


@dataclass(frozen=True)
class AuditFilter:
    """A filter of events: by and about a user, of a kind, from ``since`` until before ``until``."""

    user: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


def list_events(
    session: Session, audit_filter: AuditFilter, *, cursor: str | None = None, limit: int = 50
) -> Page[AuditEvent]:
    """Return a page of events, newest first. Raises InvalidCursor."""
    statement = select(AuditEvent).where(*_conditions(session, audit_filter))
    return paginate(session, statement, AuditEvent.id, cursor=cursor, limit=limit)


def _conditions(session: Session, audit_filter: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if audit_filter.user is not None:
        conditions.append(_by_or_about(session, audit_filter.user.strip()))
    if audit_filter.action is not None:
        conditions.append(AuditEvent.action == audit_filter.action)
    if audit_filter.outcome is not None:
        conditions.append(AuditEvent.outcome == audit_filter.outcome)
    # The index is on the ids, whose time is from the service's clock; created_at is from the database's.
    if audit_filter.since is not None:
        conditions.append(AuditEvent.created_at >= audit_filter.since)
        conditions.append(AuditEvent.id >= _first_id_at(audit_filter.since - _CLOCK_LEEWAY))
    if audit_filter.until is not None:
        conditions.append(AuditEvent.created_at < audit_filter.until)
        conditions.append(AuditEvent.id < _first_id_at(audit_filter.until + _CLOCK_LEEWAY))
    return conditions


def _by_or_about(session: Session, email: str) -> ColumnElement[bool]:
    user = find_user(session, email)
    # Includes events from before the user existed, and of a user whose address has changed since then.
    by_address = func.lower(AuditEvent.actor) == email.replace("\0", "").lower()
    if user is None:
        return by_address
    return or_(AuditEvent.actor_id == user.id, AuditEvent.target == f"user:{user.id}", by_address)


def public_details(event: AuditEvent) -> dict[str, Any]:
    """Return the details of an event that are shown to people."""
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
        "details": public_details(event),
    }


def record_role_change(change: RoleChanged) -> None:
    """Record the change of a role in its transaction (a subscriber)."""
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


def record_deed(done: ActionDone) -> None:
    """Record an action in a project in its transaction (a subscriber)."""
    action = done.action
    record_request(done.request, Action(action.name), target=action.target, **action.details)


def record_command(session: Session, action: UserAction) -> None:
    """Record the action of a command (an entry point in ``combine.actions``)."""
    record(session, Action(action.name), actor=OPERATOR, target=action.target, **action.details)


def includeme(config: Configurator) -> None:
    """Subscribe to changes in projects, and register the secrets to redact from events."""
    for addon in (CoreSettings, AuthSettings):
        REDACTOR.add(config.add_addon_settings(addon).secrets())
    config.add_subscriber(record_role_change, RoleChanged)
    config.add_subscriber(record_deed, ActionDone)
