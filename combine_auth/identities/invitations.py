"""Creates and accepts invitations: links that let a person add an identity to a user.

All times are from the database's clock.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from combine_auth.authentication import RANDOM, sha256
from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.identities.model import Invitation, LinkedIdentity
from combine_auth.identities.service import (
    enabled_user,
    end_invitations,
    link,
    list_identities,
    verified_addresses,
)
from combine_auth.sessions import BrowserSession
from combine_core.users import User, list_roles

if TYPE_CHECKING:
    from combine_auth.openid.id_token import Claims

INVITATION_LIFETIME = timedelta(days=7)


@dataclass(frozen=True)
class Account:
    """A user with the identities, projects and last use of the account.

    :ivar address_verified: whether a provider verified the user's address at the last sign-in
    :ivar roles: the names of the user's projects, each with the role
    :ivar last_here: the time of the last use; ``None`` if there was none
    """

    user: User
    address_verified: bool
    identities: Sequence[LinkedIdentity]
    roles: Sequence[Row[str, str]]
    last_here: datetime | None

    @property
    def in_use(self) -> bool:
        """Check whether somebody has used the account, or it is a member of a project."""
        return bool(self.identities or self.roles or self.last_here)


def account_of(session: Session, user: User) -> Account:
    identities = list_identities(session, user.id)
    seen = [identity.last_sign_in_at for identity in identities]
    in_browser = session.scalar(
        select(func.max(BrowserSession.last_seen_at)).where(BrowserSession.user_id == user.id)
    )
    return Account(
        user=user,
        address_verified=bool(verified_addresses(session, [user.id])),
        identities=identities,
        roles=list_roles(session, user.id),
        last_here=max([*seen, *([in_browser] if in_browser else [])], default=None),
    )


def create_invitation(session: Session, user_id: uuid.UUID) -> str:
    """Create a link for this user, and return its token of 256 bits. Earlier links become invalid."""
    end_invitations(session, user_id)
    token = secrets.token_urlsafe(32)
    session.add(
        Invitation(
            user_id=user_id,
            token_sha256=sha256(token),
            expires_at=func.now() + INVITATION_LIFETIME,
        )
    )
    session.flush()
    return token


def invited_user(session: Session, token: str) -> User | None:
    """Return the invited user; ``None`` if the link is unknown, used, expired or withdrawn."""
    if not RANDOM.fullmatch(token):
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


def accept_invitation(
    session: Session, user_id: uuid.UUID, begun_at: datetime, provider: str, claims: Claims
) -> User:
    """Mark the user's invitation as used, add this identity to the user, and return the user.

    :param begun_at: when the person opened the link; newer links are not affected
    :raises SignInFailure: the link was used meanwhile, or the identity belongs to another user
    """
    used = session.execute(
        update(Invitation)
        .where(
            Invitation.user_id == user_id,
            Invitation.used_at.is_(None),
            Invitation.expires_at > func.now(),
            Invitation.created_at <= begun_at,
        )
        .values(used_at=func.now())
        .returning(Invitation.id)
        .execution_options(synchronize_session=False)
    )
    if used.first() is None:
        detail = f"the invitation of user {user_id} was used or replaced meanwhile"
        raise SignInFailure(FailureCode.INVITATION_INVALID, detail)
    user = enabled_user(session, user_id)
    link(session, user_id, provider, claims)
    return user
