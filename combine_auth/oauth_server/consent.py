"""Stores the content of consent pages, so that a user grants exactly what the page showed."""

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


def save_page(
    session: Session, user_id: uuid.UUID, auth_request: Any, parameters: Mapping[str, str]
) -> str:
    """Store the content of the page, and return the token for its form."""
    delete_expired_rows(session)
    token = secrets.token_urlsafe(32)
    session.add(
        OAuthConsentPage(
            token_sha256=sha256(token),
            user_id=user_id,
            client_id=auth_request.client.id,
            parameters=dict(parameters),
            scopes=auth_request.scopes,
            redirect_uri=auth_request.redirect_uri,
            expires_at=func.now() + lifetimes.CONSENT_PAGE,
        )
    )
    session.flush()
    return token


def find_page(session: Session, user_id: uuid.UUID, token: str) -> OAuthConsentPage | None:
    """Return the page of this user with this token; ``None`` if there is none or it has expired."""
    if not RANDOM.fullmatch(token):
        return None
    return session.scalar(
        select(OAuthConsentPage).where(
            OAuthConsentPage.token_sha256 == sha256(token),
            OAuthConsentPage.user_id == user_id,
            OAuthConsentPage.expires_at > func.now(),
        )
    )


def matches_page(page: OAuthConsentPage, auth_request: Any, parameters: Mapping[str, str]) -> bool:
    """Check whether the submitted form still matches the page.

    The form may have been tampered with, or the client's registration, which supplies the defaults, may
    have changed.
    """
    return (
        page.client_id == auth_request.client.id
        and page.parameters == parameters
        and page.scopes == auth_request.scopes
        and page.redirect_uri == auth_request.redirect_uri
    )
