"""Whose access token this is: asked with every request that brings one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import Session, aliased

from combine_auth.authentication import sha256
from combine_auth.clients.model import OAuthClient
from combine_auth.oauth_server.lifetimes import USED_EVERY
from combine_auth.oauth_server.model import OAuthGrant, OAuthToken
from combine_auth.tokens.scopes import speaks_for_administrator
from combine_core.users import Identity, User


@dataclass(frozen=True)
class FoundAccess:
    """An access token that is good now.

    :ivar used_long_ago: the grant's ``last_used_at`` is due
    """

    id: uuid.UUID
    grant_id: uuid.UUID
    identity: Identity
    scopes: Sequence[str]
    used_long_ago: bool


_owner = aliased(User)
# Made once: SQLAlchemy then finds what it compiled for it.
_FIND = (
    select(
        OAuthToken.id,
        OAuthToken.scopes,
        OAuthGrant.id,
        or_(OAuthGrant.last_used_at.is_(None), OAuthGrant.last_used_at < func.now() - USED_EVERY),
        User.id,
        User.email,
        User.name,
        User.is_admin,
    )
    .join(OAuthGrant, OAuthGrant.id == OAuthToken.grant_id)
    .join(User, User.id == OAuthGrant.user_id)
    .join(OAuthClient, OAuthClient.id == OAuthGrant.client_id)
    .outerjoin(_owner, _owner.id == OAuthClient.owner_id)
    .where(
        OAuthToken.token_sha256 == bindparam("token_sha256"),
        OAuthToken.kind == "access",
        OAuthToken.revoked_at.is_(None),
        OAuthToken.expires_at > func.now(),
        OAuthGrant.revoked_at.is_(None),
        User.disabled_at.is_(None),
        OAuthClient.disabled_at.is_(None),
        # Whoever registered the client knows its secret.
        _owner.disabled_at.is_(None),
    )
)


def find_access(session: Session, token: str) -> FoundAccess | None:
    """This access token, in one statement.

    ``None`` if it is unknown, expired or revoked, if its user, its client or the client's owner is
    disabled, or if the grant it came of is revoked.
    """
    # By the connection: there are no objects to load, and it takes a third less of the CPU.
    row = session.connection().execute(_FIND, {"token_sha256": sha256(token)}).first()
    if row is None:
        return None
    token_id, scopes, grant_id, used_long_ago, user_id, email, name, is_admin = row
    identity = Identity(user_id, email, name, speaks_for_administrator(is_admin, scopes))
    return FoundAccess(token_id, grant_id, identity, scopes, used_long_ago)
