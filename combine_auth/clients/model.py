"""The table of API clients, and the grant types."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model

# Ids also appear in paths and log lines.
CLIENT_ID_PATTERN = "[A-Za-z0-9_-]{1,64}"


class GrantType(StrEnum):
    """A value of ``grant_type``. Password and implicit grants are not supported (RFC 9700, 2.1.2, 2.4)."""

    AUTHORIZATION_CODE = "authorization_code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the word of RFC 6749
    CLIENT_CREDENTIALS = "client_credentials"
    DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


class OAuthClient(Identified, Model):
    """A program that requests tokens (RFC 6749, 2).

    Only the SHA-256 of its secrets is stored. During a rotation it has two secrets.
    """

    __tablename__ = "oauth_clients"

    # The public identifier in requests.
    client_id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    # The user who registered it; NULL for a built-in client.
    owner_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    # The user that represents the client when it acts in its own name (client credentials).
    service_user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), unique=True
    )
    redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(Text))
    grant_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # The scopes that it may request.
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # NULL for a public client: a program on a user's machine cannot protect a secret.
    secret_sha256: Mapped[bytes | None]
    secret_changed_at: Mapped[datetime | None]
    old_secret_sha256: Mapped[bytes | None]
    old_secret_until: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("octet_length(secret_sha256) = 32", name="secret_sha256"),
        CheckConstraint("octet_length(old_secret_sha256) = 32", name="old_secret_sha256"),
        CheckConstraint(
            "(old_secret_sha256 IS NULL) = (old_secret_until IS NULL)", name="old_secret"
        ),
    )

    @property
    def is_confidential(self) -> bool:
        return self.secret_sha256 is not None
