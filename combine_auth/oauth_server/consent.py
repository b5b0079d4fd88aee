"""Consent pages: what each has shown is kept, so that a person grants that and nothing else."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from combine_auth.authentication import RANDOM, sha256
from combine_auth.oauth_server import lifetimes
from combine_auth.oauth_server.grants import delete_expired_rows
from combine_auth.oauth_server.model import OAuthConsentPage


def keep_page(
    session: Session, user_id: uuid.UUID, asked: Any, parameters: Mapping[str, str]
) -> str:
    """Keep what the page shows to this user, and return the token for its form."""
    delete_expired_rows(session)
    token = secrets.token_urlsafe(32)
    session.add(
        OAuthConsentPage(
            token_sha256=sha256(token),
            user_id=user_id,
            client_id=asked.client.id,
            parameters=dict(parameters),
            scopes=asked.scopes,
            redirect_uri=asked.redirect_uri,
            expires_at=func.now() + lifetimes.CONSENT_PAGE,
        )
    )
    session.flush()
    return token


def find_page(session: Session, user_id: uuid.UUID, token: str) -> OAuthConsentPage | None:
    """The page of this user that this token belongs to; ``None`` if there is none or it is too old."""
    if not RANDOM.fullmatch(token):
        return None
    return session.scalar(
        select(OAuthConsentPage).where(
            OAuthConsentPage.token_sha256 == sha256(token),
            OAuthConsentPage.user_id == user_id,
            OAuthConsentPage.expires_at > func.now(),
        )
    )


def is_what_was_shown(page: OAuthConsentPage, asked: Any, parameters: Mapping[str, str]) -> bool:
    """Whether the form still asks for what the page has shown.

    The form may have been changed, or the client's registration, which fills in what the client leaves out.
    """
    return (
        page.client_id == asked.client.id
        and page.parameters == parameters
        and page.scopes == asked.scopes
        and page.redirect_uri == asked.redirect_uri
    )
