"""Revokes tokens and secrets that somebody has found in public."""

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

    The caller does not learn whether it was any of these, so that guessing is useless.
    """
    session: Session = request.dbsession
    target: str | None = None
    owner: uuid.UUID | None = None
    if PERSONAL.fits(secret):
        target, owner = _personal(session, secret)
    elif ACCESS.fits(secret) or REFRESH.fits(secret):
        target, owner = _of_client(session, secret)
    elif CLIENT_SECRET.fits(secret):
        target, owner = _secret(session, secret)
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


_Found = tuple[str | None, uuid.UUID | None]


def _personal(session: Session, secret: str) -> _Found:
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


def _of_client(session: Session, secret: str) -> _Found:
    found = find_grant_of(session, secret)
    if found is None:
        return None, None
    grant_id, user_id = found
    revoke_grant(session, grant_id)
    return f"grant:{grant_id}", user_id


def _secret(session: Session, secret: str) -> _Found:
    """Invalidate the secret. The client gets no tokens until it is rotated, unless that is under way."""
    shown = sha256(secret)
    client = session.scalars(
        select(OAuthClient)
        .where(or_(OAuthClient.secret_sha256 == shown, OAuthClient.old_secret_sha256 == shown))
        .with_for_update()
    ).first()
    if client is None:
        return None, None
    if client.old_secret_sha256 == shown:
        client.old_secret_sha256 = client.old_secret_until = None
    else:
        # The hash of a secret that nobody knows.
        client.secret_sha256 = sha256(CLIENT_SECRET.new())
    return f"client:{client.client_id}", client.owner_id
