"""The table of API clients, and the grant types that a client may use."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model

# Also part of a path, and of a log line.
CLIENT_ID_PATTERN = "[A-Za-z0-9_-]{1,64}"


class GrantType(StrEnum):
    """Values of ``grant_type``. There is no password and no implicit grant (RFC 9700, 2.1.2, 2.4)."""

    AUTHORIZATION_CODE = "authorization_code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the word of RFC 6749
    CLIENT_CREDENTIALS = "client_credentials"
    DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


class OAuthClient(Identified, Model):
    """A program that asks for tokens (RFC 6749, 2).

    Only the SHA-256 of its secrets is stored. During a rotation there are two.
    """

    __tablename__ = "oauth_clients"

    # Its name in requests; not secret.
    client_id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    # Who registered it; NULL: it is built in.
    owner_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    # The user as whom it acts in its own name (client credentials).
    service_user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), unique=True
    )
    redirect_uris: Mapped[list[str]] = mapped_column(ARRAY(Text))
    grant_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # The most it may ask for.
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # NULL for a public client: a program on people's machines cannot protect a secret.
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
