"""Add lines to the audit, and let those go that are too old to be kept."""

from __future__ import annotations

import logging
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from combine_auth.audit.action import Action
from combine_auth.audit.model import AuditEvent
from combine_core.database import session_factory

logger = logging.getLogger(__name__)

# The trigger of migration 0005 refuses to delete what is younger.
KEPT_FOR = timedelta(days=365)
# Rows that a new line clears away. It adds one, so the table does not grow for ever.
SWEPT_AT_ONCE = 20
MOST_OF_TEXT = 500
MOST_OF_LIST = 100

# What PostgreSQL cannot store, and what would let a line of the audit forge another one on a terminal.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


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
    """Add a line in the transaction of the deed itself: both are stored, or neither.

    :param outcome: "ok", or the code of the refusal
    :param actor_id: the user who did it, as far as that is known
    :param actor: their address, or who else it was, such as "operator"
    :param target: what it was done to, such as ``user:<id>`` or ``session:<id>``
    :param details: what else matters; no secrets. Texts are cut at ``MOST_OF_TEXT`` characters
    """
    session.add(
        AuditEvent(
            action=action,
            outcome=_fit(outcome),
            actor_id=actor_id,
            actor=None if actor is None else _fit(actor),
            target=None if target is None else _fit(target),
            ip=None if ip is None else _fit(ip),
            request_id=None if request_id is None else _fit(request_id),
            details={name: _storable(value) for name, value in details.items()},
        )
    )
    _sweep(session)


def record_request(
    request: Any,
    action: Action,
    *,
    outcome: str = "ok",
    session: Session | None = None,
    target: str | None = None,
    actor_id: uuid.UUID | None = None,
    actor: str | None = None,
    **details: Any,
) -> None:
    """The same for what a request has brought about.

    :param session: default: ``request.dbsession``, so that the line lives and dies with the request
    :param actor_id: default: whoever asks. At a sign-in nobody does yet: name the user
    """
    who = _who(request, actor_id, actor)
    record(
        session or request.dbsession,
        action,
        outcome=outcome,
        target=target,
        **who,
        **details,
    )


def record_apart(
    request: Any,
    action: Action,
    *,
    outcome: str,
    target: str | None = None,
    actor_id: uuid.UUID | None = None,
    actor: str | None = None,
    **details: Any,
) -> None:
    """The same for a refusal, whose own transaction is rolled back.

    The line is written once the request is over and has given its connection back: two at a time for
    one request could use up the pool. A failure to write is logged, and changes nothing else.
    """
    try:
        who = _who(request, actor_id, actor)
    except SQLAlchemyError:
        # The database may be what the refusal is about.
        who = {"actor_id": actor_id, "actor": actor, "ip": request.remote_addr}

    def write(request: Any) -> None:
        try:
            with session_factory(request.registry).begin() as session:
                record(session, action, outcome=outcome, target=target, **who, **details)
        except SQLAlchemyError as error:
            # Its type alone: the text of the error may quote the statement's parameters.
            logger.warning(
                "could not write to the audit: %s (%s): %s", action, outcome, type(error).__name__
            )

    request.add_finished_callback(write)


def _who(request: Any, actor_id: uuid.UUID | None, actor: str | None) -> dict[str, Any]:
    identity = request.identity if actor_id is None and actor is None else None
    return {
        "actor_id": identity.user_id if identity else actor_id,
        "actor": identity.email if identity else actor,
        # What the server has put there: the address that its trusted proxy gave.
        "ip": request.remote_addr,
        # Of combine_core.observe, if the application has it.
        "request_id": getattr(request, "request_id", None),
    }


def _fit(text: str) -> str:
    shown = _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text[: MOST_OF_TEXT + 1])
    return shown if len(shown) <= MOST_OF_TEXT else f"{shown[: MOST_OF_TEXT - 3]}..."


def _storable(value: Any) -> Any:
    """The value in JSON, cut where it is long."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {_fit(str(name)): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        values = list(value) if isinstance(value, list | tuple) else sorted(value, key=str)
        return [_storable(inner) for inner in values[:MOST_OF_LIST]]
    return _fit(str(value))


def _sweep(session: Session) -> None:
    # Keys are in the order of time, so the index on them finds the old ones without looking further.
    old = (
        select(AuditEvent.id)
        .where(
            AuditEvent.id < first_key_of(datetime.now(UTC) - KEPT_FOR),
            AuditEvent.created_at < func.now() - KEPT_FOR,
        )
        .order_by(AuditEvent.id)
        .limit(SWEPT_AT_ONCE)
        # Whatever another line is clearing away is left to it.
        .with_for_update(skip_locked=True)
    )
    session.execute(
        delete(AuditEvent)
        .where(AuditEvent.id.in_(old))
        .execution_options(synchronize_session=False)
    )


def first_key_of(moment: datetime) -> uuid.UUID:
    """The least UUID of version 7 of this millisecond (RFC 9562, 5.7)."""
    milliseconds = min(max(0, int(moment.timestamp() * 1000)), (1 << 48) - 1)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62)
