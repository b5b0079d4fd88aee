"""Links that an operator sends to the person for whom they made a user.

All times are those of the database's clock.
"""

from __future__ import annotations

import re
import secrets
import uuid
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from combine_auth.authentication import sha256
from combine_auth.identities.model import Invitation
from combine_core.users import User

LIFETIME = timedelta(days=7)

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def create_invitation(session: Session, user_id: uuid.UUID) -> str:
    """The token of a new link for this user, 256 bits; earlier links of that user end."""
    session.execute(delete(Invitation).where(Invitation.user_id == user_id))
    token = secrets.token_urlsafe(32)
    session.add(
        Invitation(user_id=user_id, token_sha256=sha256(token), expires_at=func.now() + LIFETIME)
    )
    session.flush()
    return token


def invited_user(session: Session, token: str) -> User | None:
    """Whom the link with this token is for; ``None`` if it is unknown, used, too old or withdrawn."""
    if not _TOKEN.fullmatch(token):
        return None
    return session.scalars(
        select(User)
        .join(Invitation, Invitation.user_id == User.id)
        .where(
            Invitation.token_sha256 == sha256(token),
            Invitation.used_at.is_(None),
            Invitation.expires_at > func.now(),
            User.disabled_at.is_(None),
        )
    ).first()


def use_invitation(session: Session, user_id: uuid.UUID, shown_at: datetime) -> bool:
    """Use the link of this user up; ``False`` if none is good that was there at ``shown_at``."""
    used = session.execute(
        update(Invitation)
        .where(
            Invitation.user_id == user_id,
            Invitation.used_at.is_(None),
            Invitation.expires_at > func.now(),
            Invitation.created_at <= shown_at,
        )
        .values(used_at=func.now())
        .returning(Invitation.id)
        .execution_options(synchronize_session=False)
    )
    return used.first() is not None
