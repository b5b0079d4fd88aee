"""Revokes tokens and secrets that were found in public."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from combine_auth.audit import Action, record_request
from combine_auth.authentication import sha256
from combine_auth.clients.model import OAuthClient
from combine_auth.oauth_server.grants import revoke_grant
from combine_auth.oauth_server.issued_tokens import find_grant_of
from combine_auth.tokens.format import ACCESS, CLIENT_SECRET, PERSONAL, REFRESH
from combine_auth.tokens.model import PersonalAccessToken

logger = logging.getLogger(__name__)


def revoke_leaked(request: Any, secret: str) -> None:
    """Revoke a personal access token, a client's token with its grant, or a client's secret.

    The response does not reveal whether the text was one of them, so guessing is useless.
    """
    session: Session = request.dbsession
    target: str | None = None
    owner: uuid.UUID | None = None
    if PERSONAL.is_valid(secret):
        target, owner = _revoke_personal_token(session, secret)
    elif ACCESS.is_valid(secret) or REFRESH.is_valid(secret):
        target, owner = _revoke_client_token(session, secret)
    elif CLIENT_SECRET.is_valid(secret):
        target, owner = _invalidate_client_secret(session, secret)
    if target is None:
        return
    record_request(
        request,
        Action.TOKEN_LEAKED,
        target=target,
        outcome="revoked",
        actor="whoever reported it",
        owner=None if owner is None else str(owner),
    )
    logger.warning("a secret was found in public and revoked: %s", target)


_TargetAndOwner = tuple[str | None, uuid.UUID | None]


def _revoke_personal_token(session: Session, secret: str) -> _TargetAndOwner:
    row = session.execute(
        update(PersonalAccessToken)
        .where(
            PersonalAccessToken.token_sha256 == sha256(secret),
            PersonalAccessToken.leaked_at.is_(None),
        )
        .values(
            leaked_at=func.now(),
            revoked_at=func.coalesce(PersonalAccessToken.revoked_at, func.now()),
        )
        .returning(PersonalAccessToken.id, PersonalAccessToken.user_id)
        .execution_options(synchronize_session=False)
    ).first()
    return (None, None) if row is None else (f"token:{row[0]}", row[1])


def _revoke_client_token(session: Session, secret: str) -> _TargetAndOwner:
    found = find_grant_of(session, secret)
    if found is None:
        return None, None
    grant_id, user_id = found
    revoke_grant(session, grant_id)
    return f"grant:{grant_id}", user_id


def _invalidate_client_secret(session: Session, secret: str) -> _TargetAndOwner:
    """Invalidate the secret. Until a rotation, the client gets no tokens, unless it has another secret."""
    digest = sha256(secret)
    client = session.scalars(
        select(OAuthClient)
        .where(or_(OAuthClient.secret_sha256 == digest, OAuthClient.old_secret_sha256 == digest))
        .with_for_update()
    ).first()
    if client is None:
        return None, None
    if client.old_secret_sha256 == digest:
        client.old_secret_sha256 = client.old_secret_until = None
    else:
        # The hash of an unknown secret, so that the client stays confidential.
        client.secret_sha256 = sha256(CLIENT_SECRET.new())
    return f"client:{client.client_id}", client.owner_id
