"""The table of sessions."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class BrowserSession(Identified, Model):
    """A browser in which a user is signed in.

    The cookie contains the token. The table stores its SHA-256, so a copy of the table opens no session.
    """

    __tablename__ = "sessions"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # The absolute limit. The idle limit follows from last_seen_at.
    expires_at: Mapped[datetime] = mapped_column(index=True)
    # Shown to the user, to identify the browser.
    user_agent: Mapped[str]
    ip: Mapped[str | None]
    # The name of the provider that the user signed in with; null for the local sign-in.
    provider: Mapped[str | None]

    __table_args__ = (CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),)
