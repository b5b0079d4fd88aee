"""Consent of users to clients, as grants. All times are those of the database's clock."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from combine_auth.clients import GrantType, OAuthClient
from combine_auth.expiry import delete_expired
from combine_auth.oauth_server import lifetimes
from combine_auth.oauth_server.model import OAuthCode, OAuthDevice, OAuthGrant, OAuthToken

MOST_LISTED = 500


def create_grant(
    session: Session,
    user_id: uuid.UUID,
    client: OAuthClient,
    grant_type: GrantType,
    scopes: Sequence[str],
    lifetime: timedelta = lifetimes.GRANT,
) -> OAuthGrant:
    """Store a consent of this user to this client, in addition to existing ones."""
    delete_expired_rows(session)
    _make_room(session, user_id, client)
    grant = OAuthGrant(
        user_id=user_id,
        client_id=client.id,
        grant_type=grant_type,
        scopes=list(scopes),
        expires_at=func.now() + lifetime,
    )
    session.add(grant)
    session.flush()
    return grant


def _make_room(session: Session, user_id: uuid.UUID, client: OAuthClient) -> None:
    surplus = (
        select(OAuthGrant.id)
        .where(
            OAuthGrant.user_id == user_id,
            OAuthGrant.client_id == client.id,
            OAuthGrant.revoked_at.is_(None),
        )
        .order_by(OAuthGrant.id.desc())
        .offset(lifetimes.MOST_GRANTS - 1)
    )
    session.execute(
        update(OAuthGrant)
        .where(OAuthGrant.id.in_(surplus))
        .values(revoked_at=func.now())
        .execution_options(synchronize_session=False)
    )


def revoke_grant(session: Session, grant_id: uuid.UUID, user_id: uuid.UUID | None = None) -> bool:
    """Revoke the grant with all its tokens; ``False`` if there is no such grant.

    :param user_id: only if the grant is from this user
    """
    chosen = [OAuthGrant.id == grant_id]
    if user_id is not None:
        chosen.append(OAuthGrant.user_id == user_id)
    revoked = session.execute(
        update(OAuthGrant)
        .where(*chosen)
        .values(revoked_at=func.coalesce(OAuthGrant.revoked_at, func.now()))
        .returning(OAuthGrant.id)
        .execution_options(synchronize_session=False)
    )
    return revoked.first() is not None


def revoke_grants_of(session: Session, user_id: uuid.UUID) -> int:
    """Revoke all grants of this user, and return their number."""
    revoked = session.execute(
        update(OAuthGrant)
        .where(OAuthGrant.user_id == user_id, OAuthGrant.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(OAuthGrant.id)
        .execution_options(synchronize_session=False)
    )
    return len(revoked.all())


@dataclass(frozen=True)
class ActiveGrant:
    """A grant that can still be used."""

    id: uuid.UUID
    client_name: str
    built_in: bool
    scopes: Sequence[str]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime


def list_grants(session: Session, user_id: uuid.UUID) -> list[ActiveGrant]:
    """The grants that this user can revoke, the newest first."""
    alive = (
        select(OAuthToken.id)
        .where(
            OAuthToken.grant_id == OAuthGrant.id,
            OAuthToken.revoked_at.is_(None),
            OAuthToken.expires_at > func.now(),
            or_(OAuthToken.kind == "access", OAuthToken.used_at.is_(None)),
        )
        .exists()
    )
    waiting = (
        select(OAuthCode.id)
        .where(
            OAuthCode.grant_id == OAuthGrant.id,
            OAuthCode.used_at.is_(None),
            OAuthCode.expires_at > func.now(),
        )
        .exists()
    )
    rows = session.execute(
        select(OAuthGrant, OAuthClient.name, OAuthClient.owner_id)
        .join(OAuthClient)
        .where(
            OAuthGrant.user_id == user_id,
            OAuthGrant.revoked_at.is_(None),
            OAuthGrant.expires_at > func.now(),
            or_(alive, waiting),
        )
        .order_by(OAuthGrant.id.desc())
        .limit(MOST_LISTED)
    )
    return [
        ActiveGrant(
            grant.id,
            name,
            owner_id is None,
            grant.scopes,
            grant.created_at,
            grant.last_used_at,
            grant.expires_at,
        )
        for grant, name, owner_id in rows
    ]


def delete_expired_rows(session: Session) -> None:
    """Delete rows that expired more than a day ago. Call it where rows are added.

    Until then, a second use of a code or a rotated refresh token is detected. A grant is deleted with
    its codes and tokens.
    """
    for table in (OAuthCode, OAuthDevice, OAuthToken, OAuthGrant):
        delete_expired(session, table, table.expires_at < func.now() - lifetimes.KEPT_AFTERWARDS)
