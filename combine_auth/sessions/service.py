"""Start, find and end sessions. All times are those of the database's clock."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from combine_auth.authentication import sha256
from combine_auth.sessions.model import BrowserSession
from combine_core.users import Identity, User

IDLE_LIMIT = timedelta(hours=12)
ABSOLUTE_LIMIT = timedelta(days=7)
# How old last_seen_at may grow while the session is in use.
SEEN_EVERY = timedelta(minutes=1)
# Rows that a sign-in clears away. It adds one, so the table does not grow.
SWEPT_AT_ONCE = 100
MOST_LISTED = 100
MOST_OF_USER_AGENT = 300


@dataclass(frozen=True)
class FoundSession:
    """A session that is good now.

    :ivar seen_long_ago: ``last_seen_at`` is due
    """

    id: uuid.UUID
    identity: Identity
    seen_long_ago: bool


def _alive() -> tuple[ColumnElement[bool], ...]:
    return (
        BrowserSession.expires_at > func.now(),
        BrowserSession.last_seen_at > func.now() - IDLE_LIMIT,
    )


# Of the tables, not of their classes: this runs in every request, and in half the time.
_SESSIONS, _USERS = BrowserSession.__table__.c, User.__table__.c
_FIND = (
    select(
        _SESSIONS.id,
        _SESSIONS.last_seen_at < func.now() - SEEN_EVERY,
        _USERS.id,
        _USERS.email,
        _USERS.name,
        _USERS.is_admin,
    )
    .join_from(BrowserSession.__table__, User.__table__)
    .where(
        _SESSIONS.token_sha256 == bindparam("token_sha256"),
        _SESSIONS.expires_at > func.now(),
        _SESSIONS.last_seen_at > func.now() - IDLE_LIMIT,
        _USERS.disabled_at.is_(None),
    )
)


def start_session(
    session: Session,
    user_id: uuid.UUID,
    *,
    user_agent: str = "",
    ip: str | None = None,
    provider: str | None = None,
) -> str:
    """A new session of this user; returns its token, for the cookie alone: 256 bits, base64url.

    :param user_agent: what the browser says of itself; what cannot be shown is left out
    :param provider: the provider that the sign-in was made with, by name
    """
    _sweep(session)
    token = secrets.token_urlsafe(32)
    shown = "".join(character for character in user_agent if character.isprintable())
    session.add(
        BrowserSession(
            user_id=user_id,
            token_sha256=sha256(token),
            expires_at=func.now() + ABSOLUTE_LIMIT,
            user_agent=shown[:MOST_OF_USER_AGENT],
            ip=ip,
            provider=provider,
        )
    )
    session.flush()
    return token


def _sweep(session: Session) -> None:
    over = (
        select(BrowserSession.id)
        .where(BrowserSession.expires_at < func.now())
        .limit(SWEPT_AT_ONCE)
        # Whatever another sign-in is clearing away is left to it.
        .with_for_update(skip_locked=True)
    )
    session.execute(delete(BrowserSession).where(BrowserSession.id.in_(over)))


def find_session(session: Session, token: str) -> FoundSession | None:
    """The session of this token, in one statement.

    ``None`` if it is unknown or over, or its user is disabled.
    """
    row = session.connection().execute(_FIND, {"token_sha256": sha256(token)}).first()
    if row is None:
        return None
    session_id, seen_long_ago, user_id, email, name, is_admin = row
    return FoundSession(session_id, Identity(user_id, email, name, is_admin), seen_long_ago)


def note_seen(session: Session, session_id: uuid.UUID) -> None:
    """Write down that the session is in use, unless that was done within the last minute.

    Never waits: whoever holds the row is about to write the same, or to end the session.
    """
    due = (
        select(BrowserSession.id)
        .where(
            BrowserSession.id == session_id, BrowserSession.last_seen_at < func.now() - SEEN_EVERY
        )
        .with_for_update(skip_locked=True)
    )
    session.execute(
        update(BrowserSession)
        .where(BrowserSession.id.in_(due))
        .values(last_seen_at=func.now())
        .execution_options(synchronize_session=False)
    )


def list_sessions(session: Session, user_id: uuid.UUID) -> Sequence[BrowserSession]:
    """The sessions of this user that are good now, the newest first; at most ``MOST_LISTED``."""
    return session.scalars(
        select(BrowserSession)
        .where(BrowserSession.user_id == user_id, *_alive())
        .order_by(BrowserSession.id.desc())
        .limit(MOST_LISTED)
    ).all()


def end_session_of_token(session: Session, token: str) -> None:
    """End the session of this token, if there is one."""
    session.execute(delete(BrowserSession).where(BrowserSession.token_sha256 == sha256(token)))


def end_session(session: Session, user_id: uuid.UUID, session_id: uuid.UUID) -> bool:
    """End this session; ``False`` if this user has none of this id."""
    ended = session.execute(
        delete(BrowserSession)
        .where(BrowserSession.id == session_id, BrowserSession.user_id == user_id)
        .returning(BrowserSession.id)
    )
    return ended.first() is not None


def end_sessions_of(session: Session, user_id: uuid.UUID, but: uuid.UUID | None = None) -> int:
    """End all sessions of this user; returns how many there were.

    :param but: the session that stays
    """
    kept = () if but is None else (BrowserSession.id != but,)
    ended = session.execute(
        delete(BrowserSession)
        .where(BrowserSession.user_id == user_id, *kept)
        .returning(BrowserSession.id)
        .execution_options(synchronize_session=False)
    )
    return len(ended.all())
