"""Starts, finds and ends sessions. All times are those of the database's clock."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, select
from sqlalchemy.orm import Session

from combine_auth.authentication import CredentialKind, FoundCredential, Proof, sha256, use_is_due
from combine_auth.sessions.model import BrowserSession
from combine_core.database.expiry import delete_expired
from combine_core.users import Identity, User
from combine_core.users.user_query import find_user_row

IDLE_LIMIT = timedelta(hours=12)
ABSOLUTE_LIMIT = timedelta(days=7)
# Actions for which a session would be worth stealing need one that is younger than this.
FRESH_FOR = timedelta(minutes=10)
MAX_LISTED = 100
MAX_USER_AGENT = 300


def _alive() -> tuple[ColumnElement[bool], ...]:
    return (
        BrowserSession.expires_at > func.now(),
        BrowserSession.last_seen_at > func.now() - IDLE_LIMIT,
    )


# Selects from the tables instead of the classes. This runs in every request, and takes half the time.
_SESSIONS, _USERS = BrowserSession.__table__.c, User.__table__.c
_FIND = (
    select(
        _SESSIONS.id,
        use_is_due(_SESSIONS.last_seen_at),
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
    """Start a session of this user, and return its token for the cookie: 256 bits, base64url.

    :param user_agent: the header; characters that cannot be shown are left out
    :param provider: the name of the provider that the user signed in with
    """
    delete_expired(session, BrowserSession, BrowserSession.expires_at < func.now())
    token = secrets.token_urlsafe(32)
    shown = "".join(character for character in user_agent if character.isprintable())
    session.add(
        BrowserSession(
            user_id=user_id,
            token_sha256=sha256(token),
            expires_at=func.now() + ABSOLUTE_LIMIT,
            user_agent=shown[:MAX_USER_AGENT],
            ip=ip,
            provider=provider,
        )
    )
    session.flush()
    return token


def find_session(request: Any, token: str) -> FoundCredential | None:
    """The valid session of this token, whose user is not disabled, in one statement."""
    row = find_user_row(request, _FIND, token_sha256=sha256(token))
    if row is None:
        return None
    session_id, is_due, *identity = row
    proof = Proof(Identity(*identity), CredentialKind.SESSION, session_id)
    return FoundCredential(proof, session_id, is_due)


def is_fresh(session: Session, session_id: uuid.UUID) -> bool:
    """Whether this session was started within the last ``FRESH_FOR``."""
    found = session.scalar(
        select(BrowserSession.id).where(
            BrowserSession.id == session_id, BrowserSession.created_at > func.now() - FRESH_FOR
        )
    )
    return found is not None


def list_sessions(session: Session, user_id: uuid.UUID) -> Sequence[BrowserSession]:
    """The valid sessions of this user, the newest first; at most ``MAX_LISTED``."""
    return session.scalars(
        select(BrowserSession)
        .where(BrowserSession.user_id == user_id, *_alive())
        .order_by(BrowserSession.id.desc())
        .limit(MAX_LISTED)
    ).all()


def end_session_of_token(session: Session, token: str) -> None:
    session.execute(delete(BrowserSession).where(BrowserSession.token_sha256 == sha256(token)))


def end_session(session: Session, user_id: uuid.UUID, session_id: uuid.UUID) -> bool:
    """End this session of this user; ``False`` if the user has no such session."""
    ended = session.execute(
        delete(BrowserSession)
        .where(BrowserSession.id == session_id, BrowserSession.user_id == user_id)
        .returning(BrowserSession.id)
    )
    return ended.first() is not None


def end_sessions_of(session: Session, user_id: uuid.UUID, but: uuid.UUID | None = None) -> int:
    """End all sessions of this user but one, and return how many there were."""
    except_one = () if but is None else (BrowserSession.id != but,)
    ended = session.execute(
        delete(BrowserSession)
        .where(BrowserSession.user_id == user_id, *except_one)
        .returning(BrowserSession.id)
        .execution_options(synchronize_session=False)
    )
    return len(ended.all())
