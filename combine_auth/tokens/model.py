"""The table of personal access tokens."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class PersonalAccessToken(Identified, Model):
    """A key that a person made for a program of theirs.

    It is shown once; here stands its SHA-256 alone, so that a copy of the table opens nothing.
    """

    __tablename__ = "personal_access_tokens"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str]
    # Its last four characters, by which its owner tells it from others.
    last4: Mapped[str]
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    # The permissions it is good for, of those that its owner has; NULL: all of them.
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    # It was found where others could read it, and revoked for that.
    leaked_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),)
