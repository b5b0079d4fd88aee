"""The tables of grants, consent pages, codes, tokens and devices.

Of codes and tokens, only the SHA-256 is stored.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ARRAY, JSON, CheckConstraint, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class OAuthGrant(Identified, Model):
    """A consent of a user to a client. Its tokens form a family, which is revoked with this row."""

    __tablename__ = "oauth_grants"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    client_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("oauth_clients.id", ondelete="CASCADE"), index=True
    )
    # The grant type (RFC 6749, 1.3) that created it.
    grant_type: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # The end of the lifetime of all its tokens.
    expires_at: Mapped[datetime] = mapped_column(index=True)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class OAuthConsentPage(Identified, Model):
    """The content of a consent page that was shown to a user, identified by the token of its form."""

    __tablename__ = "oauth_consent_pages"

    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    client_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("oauth_clients.id", ondelete="CASCADE"), index=True
    )
    # The parameters of the authorization request, such as the state.
    parameters: Mapped[dict[str, str]] = mapped_column(JSON)
    # Includes the default scopes if the request named none.
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    redirect_uri: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),)


class OAuthCode(Identified, Model):
    """An authorization code (RFC 6749, 4.1.2) with the PKCE challenge (RFC 7636) of its request."""

    __tablename__ = "oauth_codes"

    grant_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("oauth_grants.id", ondelete="CASCADE"), index=True
    )
    code_sha256: Mapped[bytes] = mapped_column(unique=True)
    redirect_uri: Mapped[str]
    # The authorization request named the URI, so the token request must repeat it.
    redirect_uri_named: Mapped[bool]
    code_challenge: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("octet_length(code_sha256) = 32", name="code_sha256"),)


class OAuthToken(Identified, Model):
    """An access or refresh token of a grant."""

    __tablename__ = "oauth_tokens"

    grant_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("oauth_grants.id", ondelete="CASCADE"), index=True
    )
    # The refresh token that was exchanged for this token.
    parent_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("oauth_tokens.id", ondelete="SET NULL"), index=True
    )
    kind: Mapped[str]
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    expires_at: Mapped[datetime] = mapped_column(index=True)
    # Of a refresh token: when it was rotated.
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("kind IN ('access', 'refresh')", name="kind"),
        CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),
    )


class OAuthDevice(Identified, Model):
    """A device that waits for a user's approval (RFC 8628)."""

    __tablename__ = "oauth_devices"

    client_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("oauth_clients.id", ondelete="CASCADE"), index=True
    )
    device_code_sha256: Mapped[bytes] = mapped_column(unique=True)
    # The eight letters that the user types.
    user_code: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # The address of the device, shown to the user to identify it.
    ip: Mapped[str | None]
    # The minimum seconds between two polls.
    interval: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    asked_at: Mapped[datetime | None]
    # Set when a user approves.
    grant_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("oauth_grants.id", ondelete="CASCADE"), index=True
    )
    denied_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("octet_length(device_code_sha256) = 32", name="device_code_sha256"),
    )
