"""Starts, finds and ends the sessions of browsers. All times are from the database's clock."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, bindparam, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from combine_auth.authentication import CredentialKind, FoundCredential, Proof, sha256, use_is_due
from combine_core.database import Identified, Model
from combine_core.database.metadata import delete_expired
from combine_core.users import Identity, User
from combine_core.users.user_query import find_user_row


class BrowserSession(Identified, Model):
    """A browser in which a user is signed in.

    The cookie contains the token. The table stores its SHA-256, so a copy of the table opens no session.
    """

    __tablename__ = "sessions"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # The absolute limit. The idle limit follows from last_seen_at.
    expires_at: Mapped[datetime] = mapped_column(index=True)
    # Shown to the user, to identify the browser.
    user_agent: Mapped[str]
    ip: Mapped[str | None]
    # The name of the provider that the user signed in with; null for the local sign-in.
    provider: Mapped[str | None]

    __table_args__ = (CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),)


IDLE_LIMIT = timedelta(hours=12)
ABSOLUTE_LIMIT = timedelta(days=7)
# Sensitive actions need a session that is younger than this.
FRESH_FOR = timedelta(minutes=10)
MAX_LISTED = 100
MAX_USER_AGENT = 300


# Selects from the tables instead of the classes: it runs in every request, and this halves its time.
_SESSIONS, _USERS = BrowserSession.__table__.c, User.__table__.c
_ACTIVE = (
    _SESSIONS.expires_at > func.now(),
    _SESSIONS.last_seen_at > func.now() - IDLE_LIMIT,
)
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
        *_ACTIVE,
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
    """Start a session for this user, and return its token for the cookie: 256 bits in base64url.

    :param user_agent: the header; characters that are not printable are removed
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
    """Find the valid session with this token, of an enabled user, in one statement."""
    row = find_user_row(request, _FIND, token_sha256=sha256(token))
    if row is None:
        return None
    session_id, is_due, *identity = row
    proof = Proof(Identity(*identity), CredentialKind.SESSION, session_id)
    return FoundCredential(proof, session_id, is_due)


def is_fresh(session: Session, session_id: uuid.UUID) -> bool:
    """Check whether this session was started within the last ``FRESH_FOR``."""
    found = session.scalar(
        select(BrowserSession.id).where(
            BrowserSession.id == session_id, BrowserSession.created_at > func.now() - FRESH_FOR
        )
    )
    return found is not None


def list_sessions(session: Session, user_id: uuid.UUID) -> Sequence[BrowserSession]:
    """Return at most ``MAX_LISTED`` valid sessions of this user, newest first."""
    return session.scalars(
        select(BrowserSession)
        .where(BrowserSession.user_id == user_id, *_ACTIVE)
        .order_by(BrowserSession.id.desc())
        .limit(MAX_LISTED)
    ).all()


def end_session_of_token(session: Session, token: str) -> None:
    session.execute(delete(BrowserSession).where(BrowserSession.token_sha256 == sha256(token)))


def end_session(session: Session, user_id: uuid.UUID, session_id: uuid.UUID) -> bool:
    """End a session of this user; ``False`` if the user has no such session."""
    ended = session.execute(
        delete(BrowserSession)
        .where(BrowserSession.id == session_id, BrowserSession.user_id == user_id)
        .returning(BrowserSession.id)
    )
    return ended.first() is not None


def end_sessions_of(session: Session, user_id: uuid.UUID, keep: uuid.UUID | None = None) -> int:
    """End all sessions of this user, except the one to keep, and return their number."""
    except_one = () if keep is None else (BrowserSession.id != keep,)
    ended = session.execute(
        delete(BrowserSession)
        .where(BrowserSession.user_id == user_id, *except_one)
        .returning(BrowserSession.id)
        .execution_options(synchronize_session=False)
    )
    return len(ended.all())
