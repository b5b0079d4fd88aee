"""The table of personal access tokens."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class PersonalAccessToken(Identified, Model):
    """A token that a user created for a program.

    It is shown once. Only its SHA-256 is stored, so that a copy of the table contains no usable token.
    """

    __tablename__ = "personal_access_tokens"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str]
    # Its last four characters, to identify it to its owner.
    last4: Mapped[str]
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    # The permissions of its owner that it may use; NULL for all of them.
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    # The only project that it may be used in; NULL for all of its owner's.
    project_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    # When it was reported as leaked, and therefore revoked.
    leaked_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),)
