"""The table of sign-in attempts."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class Purpose(StrEnum):
    """The purpose of a sign-in with a provider."""

    SIGN_IN = "sign-in"
    # A signed-in user adds an identity to the account.
    LINK = "link"
    # A signed-in user signs in again, because an action needs a fresh session.
    CONFIRM = "confirm"
    # An invited person adds an identity to the user that an operator created.
    INVITATION = "invitation"


class SignInAttempt(Identified, Model):
    """An attempt to sign in with a provider, from the button to the callback.

    The row contains no secrets. State and browser cookie are stored as hashes. Nonce and PKCE verifier
    are derived from the state with the secret key that ``key_id`` names. ``used_at`` limits the attempt
    to one callback.
    """

    __tablename__ = "sign_in_attempts"

    state_sha256: Mapped[bytes] = mapped_column(unique=True)
    browser_sha256: Mapped[bytes] = mapped_column(index=True)
    key_id: Mapped[str]
    provider: Mapped[str]
    purpose: Mapped[str]
    # The user whose account the attempt changes; null for a plain sign-in.
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    # The path to redirect to after the sign-in.
    next_path: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("octet_length(state_sha256) = 32", name="state_sha256"),
        CheckConstraint("octet_length(browser_sha256) = 32", name="browser_sha256"),
        CheckConstraint(
            "purpose IN ({})".format(", ".join(f"'{purpose}'" for purpose in Purpose)),
            name="purpose",
        ),
    )
