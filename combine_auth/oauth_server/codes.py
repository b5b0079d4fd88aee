"""Authorization codes: created at the consent, valid for one use within a minute."""

from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from combine_auth.authentication import sha256
from combine_auth.clients import OAuthClient
from combine_auth.oauth_server import lifetimes
from combine_auth.oauth_server.grants import CredentialReused
from combine_auth.oauth_server.model import OAuthCode, OAuthGrant
from combine_auth.tokens.format import CODE
from combine_core.users import User


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


def use_code(
    session: Session, code: str, client: OAuthClient
) -> tuple[OAuthCode, OAuthGrant] | None:
    """Use up a code, and commit that at once, so that it stays used whatever fails later.

    One conditional update, so that exactly one of several simultaneous requests succeeds.

    :returns: ``None`` if it is unknown or expired, belongs to another client, its grant is revoked
        or its user is disabled
    :raises CredentialReused: it belongs to this client, and has been used before
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
    if row is not None and used is None and row[0].used_at is not None:
        raise CredentialReused(row[1])
    return None if row is None or used is None else (row[0], row[1])
