"""Stores a user's consent to a client as a grant. All times are from the database's clock."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Text, and_, cast, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from combine_auth.clients import GrantType, OAuthClient
from combine_auth.oauth_server import lifetimes
from combine_auth.oauth_server.model import (
    OAuthCode,
    OAuthConsentPage,
    OAuthDevice,
    OAuthGrant,
    OAuthToken,
)
from combine_core.database.metadata import delete_expired

MAX_LISTED = 500


class CredentialReused(Exception):
    """A code or refresh token was used twice: two parties have it, and one of them stole it."""

    def __init__(self, grant: OAuthGrant) -> None:
        super().__init__(f"a credential of the grant {grant.id} was used again")
        self.grant = grant


class TooManyGrants(Exception):
    """This client has the maximum number of grants of this user."""

    def __init__(self, count: int, wait_seconds: int) -> None:
        super().__init__(
            f"This program already has {count} valid grants of this user, the maximum. Revoke one"
            " on the page /account/grants, or wait until one expires."
        )
        # The time until the first one expires.
        self.wait_seconds = wait_seconds


# A grant with a valid token or code.
_USABLE = and_(
    OAuthGrant.revoked_at.is_(None),
    OAuthGrant.expires_at > func.now(),
    or_(
        select(OAuthToken.id)
        .where(
            OAuthToken.grant_id == OAuthGrant.id,
            OAuthToken.revoked_at.is_(None),
            OAuthToken.expires_at > func.now(),
            or_(OAuthToken.kind == "access", OAuthToken.used_at.is_(None)),
        )
        .exists(),
        select(OAuthCode.id)
        .where(
            OAuthCode.grant_id == OAuthGrant.id,
            OAuthCode.used_at.is_(None),
            OAuthCode.expires_at > func.now(),
        )
        .exists(),
    ),
)


def create_grant(
    session: Session,
    user_id: uuid.UUID,
    client: OAuthClient,
    grant_type: GrantType,
    scopes: Sequence[str],
    lifetime: timedelta = lifetimes.GRANT,
) -> OAuthGrant:
    """Store a further consent of this user to this client. Raises TooManyGrants."""
    delete_expired_rows(session)
    _check_number(session, user_id, client)
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


def _check_number(session: Session, user_id: uuid.UUID, client: OAuthClient) -> None:
    count, wait = session.execute(
        select(
            func.count(), func.extract("epoch", func.min(OAuthGrant.expires_at) - func.now())
        ).where(OAuthGrant.user_id == user_id, OAuthGrant.client_id == client.id, _USABLE)
    ).one()
    if count >= lifetimes.MAX_GRANTS:
        raise TooManyGrants(count, math.ceil(wait))


def revoke_grant(session: Session, grant_id: uuid.UUID, user_id: uuid.UUID | None = None) -> bool:
    """Revoke a grant (of this user, if given) with all its tokens; ``False`` if there is none."""
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


def revoke_grants_of(
    session: Session, user_id: uuid.UUID, covering: Sequence[str] | None = None
) -> int:
    """Revoke all grants of this user, or those with one of these scopes, and return their number."""
    chosen = [OAuthGrant.user_id == user_id, OAuthGrant.revoked_at.is_(None)]
    if covering is not None:
        chosen.append(OAuthGrant.scopes.op("&&")(cast(list(covering), ARRAY(Text))))
    revoked = session.execute(
        update(OAuthGrant)
        .where(*chosen)
        .values(revoked_at=func.now())
        .returning(OAuthGrant.id)
        .execution_options(synchronize_session=False)
    )
    return len(revoked.all())


def revoke_grants_beyond(session: Session, client: OAuthClient) -> None:
    """Revoke the grants of this client that have a scope which the client may no longer request."""
    session.execute(
        update(OAuthGrant)
        .where(
            OAuthGrant.client_id == client.id,
            OAuthGrant.revoked_at.is_(None),
            ~OAuthGrant.scopes.bool_op("<@")(cast(list(client.scopes), ARRAY(Text))),
        )
        .values(revoked_at=func.now())
        .execution_options(synchronize_session=False)
    )


def list_grants(session: Session, user_id: uuid.UUID) -> Sequence[Any]:
    """Return the usable grants of this user with the names of their clients, newest first."""
    return session.execute(
        select(
            OAuthGrant.id,
            OAuthClient.name.label("client_name"),
            OAuthClient.owner_id.is_(None).label("built_in"),
            OAuthGrant.scopes,
            OAuthGrant.created_at,
            OAuthGrant.last_used_at,
            OAuthGrant.expires_at,
        )
        .join(OAuthClient)
        .where(
            OAuthGrant.user_id == user_id,
            _USABLE,
        )
        .order_by(OAuthGrant.id.desc())
        .limit(MAX_LISTED)
    ).all()


def delete_expired_rows(session: Session) -> None:
    """Delete rows that expired more than a day ago. Functions that add rows call it.

    Rows are kept for that day to detect the reuse of a code or a rotated refresh token. A grant is deleted
    with its codes and tokens.
    """
    for table in (OAuthConsentPage, OAuthCode, OAuthDevice, OAuthToken, OAuthGrant):
        delete_expired(session, table, table.expires_at < func.now() - lifetimes.KEPT_AFTER_EXPIRY)
