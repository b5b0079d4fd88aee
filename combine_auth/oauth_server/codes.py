"""Authorization codes: created at the consent, valid for one use within a minute."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from combine_auth.authentication import sha256
from combine_auth.clients import OAuthClient
from combine_auth.oauth_server import lifetimes
from combine_auth.oauth_server.model import OAuthCode, OAuthGrant
from combine_auth.tokens.format import CODE
from combine_core.users import User


@dataclass(frozen=True)
class UsedCode:
    """A code that has just been used up."""

    grant_id: uuid.UUID
    user_id: uuid.UUID
    scopes: Sequence[str]
    redirect_uri: str
    redirect_uri_named: bool
    code_challenge: str


class CodeReused(Exception):
    """A code was used a second time: two parties have it, and one of them stole it."""

    def __init__(self, grant_id: uuid.UUID, user_id: uuid.UUID) -> None:
        super().__init__("an authorization code was used again")
        self.grant_id = grant_id
        self.user_id = user_id


def save_code(
    session: Session,
    code: str,
    grant: OAuthGrant,
    *,
    redirect_uri: str,
    redirect_uri_named: bool,
    code_challenge: str,
) -> None:
    """Store what the token request must match.

    :param code_challenge: SHA-256 of the verifier, base64url (RFC 7636, 4.2)
    """
    session.add(
        OAuthCode(
            grant_id=grant.id,
            code_sha256=sha256(code),
            redirect_uri=redirect_uri,
            redirect_uri_named=redirect_uri_named,
            code_challenge=code_challenge,
            expires_at=func.now() + lifetimes.CODE,
        )
    )
    session.flush()


def use_code(session: Session, code: str, client: OAuthClient) -> UsedCode | None:
    """Use up a code, and commit that at once, so that it stays used whatever fails later.

    One conditional update, so that exactly one of several simultaneous requests succeeds.

    :returns: ``None`` if it is unknown or expired, belongs to another client, its grant is revoked
        or its user is disabled
    :raises CodeReused: it belongs to this client, and has been used before
    """
    if not CODE.fits(code):
        return None
    # Checked only here: a second use, a moment later, revokes the grant, but does not change the
    # response to the first.
    mine = (
        select(OAuthGrant.id)
        .join(User, User.id == OAuthGrant.user_id)
        .where(
            OAuthGrant.client_id == client.id,
            OAuthGrant.revoked_at.is_(None),
            User.disabled_at.is_(None),
        )
    )
    used = session.scalar(
        update(OAuthCode)
        .where(
            OAuthCode.code_sha256 == sha256(code),
            OAuthCode.used_at.is_(None),
            OAuthCode.expires_at > func.now(),
            OAuthCode.grant_id.in_(mine),
        )
        .values(used_at=func.now())
        .returning(OAuthCode.id)
        .execution_options(synchronize_session=False)
    )
    session.commit()
    row = session.execute(
        select(OAuthCode, OAuthGrant)
        .join(OAuthGrant, OAuthGrant.id == OAuthCode.grant_id)
        .where(OAuthCode.code_sha256 == sha256(code), OAuthGrant.client_id == client.id)
    ).first()
    if row is None:
        return None
    known, grant = row
    if used is None:
        if known.used_at is not None:
            raise CodeReused(grant.id, grant.user_id)
        return None
    return UsedCode(
        grant.id,
        grant.user_id,
        grant.scopes,
        known.redirect_uri,
        known.redirect_uri_named,
        known.code_challenge,
    )
