"""The table of sessions."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class BrowserSession(Identified, Model):
    """A browser in which somebody is signed in.

    The cookie holds the token; here stands its SHA-256 alone, so that a copy of the table opens
    nothing.
    """

    __tablename__ = "sessions"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # The absolute end; the idle end follows from last_seen_at.
    expires_at: Mapped[datetime] = mapped_column(index=True)
    # What the browser said of itself and where it came from, for its owner to recognise it.
    user_agent: Mapped[str]
    ip: Mapped[str | None]
    # The provider that the sign-in was made with; the local sign-in has none.
    provider: Mapped[str | None]

    __table_args__ = (CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),)
