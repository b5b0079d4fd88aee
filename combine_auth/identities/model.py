"""The tables of identities and of invitations."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class LinkedIdentity(Identified, Model):
    """A person's account at a provider, linked to a user.

    Issuer and subject identify it (OpenID Connect Core 1.0, 5.7). If the settings allow it, tenant and
    object id identify it after the provider has changed the subject. The other claims of the last sign-in
    are stored for display only.
    """

    __tablename__ = "identities"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    provider: Mapped[str]
    issuer: Mapped[str]
    subject: Mapped[str]
    # Microsoft's `tid` and `oid`.
    tenant: Mapped[str | None]
    object_id: Mapped[str | None]
    email: Mapped[str | None]
    email_verified: Mapped[bool]
    last_sign_in_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("issuer", "subject"),
        Index(
            "ix_identities_object_id", "object_id", postgresql_where=text("object_id IS NOT NULL")
        ),
    )


class Invitation(Identified, Model):
    """A link with which a person adds an identity to a user that an operator created.

    The link contains the token; the table stores its SHA-256.
    """

    __tablename__ = "invitations"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),)
