"""Stores, finds, uses, rotates and revokes codes and tokens. All times are from the database's clock."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, select, update
from sqlalchemy.orm import Session, aliased

from combine_auth.authentication import CredentialKind, FoundCredential, Proof, sha256, use_is_due
from combine_auth.clients import OAuthClient
from combine_auth.oauth_server import lifetimes
from combine_auth.oauth_server.grants import CredentialReused, delete_expired_rows, revoke_grant
from combine_auth.oauth_server.model import OAuthCode, OAuthGrant, OAuthToken
from combine_auth.tokens.format import ACCESS, CODE, REFRESH
from combine_auth.tokens.scopes import acts_as_administrator
from combine_core.users import Identity, User
from combine_core.users.user_query import find_user_row


def use_code(
    session: Session, code: str, client: OAuthClient
) -> tuple[OAuthCode, OAuthGrant] | None:
    """Mark a code as used, and commit at once, so that it stays used if a later step fails.

    A single conditional update ensures that only one of several concurrent requests succeeds.

    :returns: the code and its grant; ``None`` if the code is unknown, expired or another client's, if its
        grant is revoked, or if its user is disabled
    :raises CredentialReused: this client has already used the code
    """
    if not CODE.is_valid(code):
        return None
    # Checked only in the update: if a second use revokes the grant a moment later, the response to the
    # first use does not change.
    usable_grants = (
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
            OAuthCode.grant_id.in_(usable_grants),
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


def save_tokens(
    session: Session,
    grant_id: uuid.UUID,
    *,
    access: str,
    access_scopes: Sequence[str],
    refresh: str | None,
    refresh_scopes: Sequence[str],
    parent_id: uuid.UUID | None = None,
) -> None:
    """Store the hashes of new tokens, which expire with their grant at the latest.

    :param parent_id: the id of the refresh token that was exchanged for them
    """
    delete_expired_rows(session)
    kinds = [("access", access, access_scopes, lifetimes.ACCESS)]
    if refresh is not None:
        kinds.append(("refresh", refresh, refresh_scopes, lifetimes.REFRESH))
    grant_end = select(OAuthGrant.expires_at).where(OAuthGrant.id == grant_id).scalar_subquery()
    for kind, token, scopes, lifetime in kinds:
        session.add(
            OAuthToken(
                grant_id=grant_id,
                parent_id=parent_id,
                kind=kind,
                token_sha256=sha256(token),
                scopes=list(scopes),
                expires_at=func.least(func.now() + lifetime, grant_end),
            )
        )
    session.flush()


def find_refresh_token(
    session: Session, token: str, client: OAuthClient
) -> tuple[OAuthToken, OAuthGrant] | None:
    """Return this client's refresh token with its grant, even if it has been rotated."""
    if not REFRESH.is_valid(token):
        return None
    return _find(session, token, client, OAuthToken.kind == "refresh")


def rotate(session: Session, token: OAuthToken, grant: OAuthGrant) -> None:
    """Mark a refresh token as used, and commit at once.

    A single conditional update determines the first request. Requests within the grace period succeed too,
    for clients that lost the response or sent two requests at once.

    :raises CredentialReused: the token was rotated before the grace period
    """
    first = session.scalar(
        update(OAuthToken)
        .where(OAuthToken.id == token.id, OAuthToken.used_at.is_(None))
        .values(used_at=func.now())
        .returning(OAuthToken.id)
        .execution_options(synchronize_session=False)
    )
    session.commit()
    if first is not None:
        return
    in_grace = session.scalar(
        select(OAuthToken.used_at > func.now() - lifetimes.GRACE).where(OAuthToken.id == token.id)
    )
    if not in_grace:
        raise CredentialReused(grant)


def find_issued(
    session: Session, token: str, client: OAuthClient
) -> tuple[OAuthToken, OAuthGrant] | None:
    """Return this client's valid access or refresh token with its grant."""
    if not (ACCESS.is_valid(token) or REFRESH.is_valid(token)):
        return None
    return _find(session, token, client, OAuthToken.used_at.is_(None))


def _find(
    session: Session, token: str, client: OAuthClient, condition: ColumnElement[bool]
) -> tuple[OAuthToken, OAuthGrant] | None:
    """Return the token with its grant; ``None`` if it is unknown, expired, revoked, or its user disabled."""
    row = session.execute(
        select(OAuthToken, OAuthGrant)
        .join(OAuthGrant, OAuthGrant.id == OAuthToken.grant_id)
        .join(User, User.id == OAuthGrant.user_id)
        .where(
            OAuthToken.token_sha256 == sha256(token),
            condition,
            OAuthToken.revoked_at.is_(None),
            OAuthToken.expires_at > func.now(),
            OAuthGrant.client_id == client.id,
            OAuthGrant.revoked_at.is_(None),
            OAuthGrant.expires_at > func.now(),
            User.disabled_at.is_(None),
        )
    ).first()
    return None if row is None else (row[0], row[1])


def revoke_issued(session: Session, token: str, client: OAuthClient) -> uuid.UUID | None:
    """Revoke an access token of this client, or the whole grant of a refresh token.

    It also accepts a rotated or expired token that is still stored.

    :returns: the id of the grant; ``None`` if there is no such token
    """
    if not (ACCESS.is_valid(token) or REFRESH.is_valid(token)):
        return None
    row = session.execute(
        select(OAuthToken.id, OAuthToken.kind, OAuthGrant.id)
        .join(OAuthGrant, OAuthGrant.id == OAuthToken.grant_id)
        .where(OAuthToken.token_sha256 == sha256(token), OAuthGrant.client_id == client.id)
    ).first()
    if row is None:
        return None
    token_id, kind, grant_id = row
    if kind == "refresh":
        revoke_grant(session, grant_id)
    else:
        session.execute(
            update(OAuthToken)
            .where(OAuthToken.id == token_id, OAuthToken.revoked_at.is_(None))
            .values(revoked_at=func.now())
            .execution_options(synchronize_session=False)
        )
    return uuid.UUID(str(grant_id))


def find_grant_of(session: Session, token: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Return the ids of a token's grant and user, for any client, even if the token is invalid."""
    row = session.execute(
        select(OAuthGrant.id, OAuthGrant.user_id)
        .join(OAuthToken, OAuthToken.grant_id == OAuthGrant.id)
        .where(OAuthToken.token_sha256 == sha256(token))
    ).first()
    return None if row is None else (row[0], row[1])


_owner = aliased(User)
# Built once, so that SQLAlchemy can cache the compiled statement.
_FIND = (
    select(
        OAuthToken.id,
        OAuthToken.scopes,
        OAuthGrant.id,
        use_is_due(OAuthGrant.last_used_at),
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
        # The owner knows the client's secret.
        _owner.disabled_at.is_(None),
    )
)


def find_access_token(request: Any, token: str) -> FoundCredential | None:
    """Find a valid access token, in one statement.

    :returns: ``None`` if the token is unknown, expired or revoked, if its user, its client or the client's
        owner is disabled, or if its grant is revoked
    """
    row = find_user_row(request, _FIND, token_sha256=sha256(token))
    if row is None:
        return None
    token_id, scopes, grant_id, is_due, user_id, email, name, is_admin = row
    identity = Identity(user_id, email, name, acts_as_administrator(is_admin, scopes))
    proof = Proof(identity, CredentialKind.TOKEN, token_id, frozenset(scopes))
    return FoundCredential(proof, grant_id, is_due)
