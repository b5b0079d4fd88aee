"""The table of sign-ins under way."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class Purpose(StrEnum):
    """What a sign-in with a provider is for."""

    SIGN_IN = "sign-in"
    # A signed-in user adds another identity to the account.
    LINK = "link"
    # A signed-in user shows anew who they are, before something that needs a fresh sign-in.
    CONFIRM = "confirm"
    # Somebody with an invitation brings an identity for the user it names.
    INVITATION = "invitation"


class SignInAttempt(Identified, Model):
    """One attempt to sign in with a provider: from the button to the callback.

    Nothing here is worth stealing. Of state and browser it keeps hashes; nonce and PKCE verifier are
    derived from the state with the service's secret key, of which ``key_id`` names the one.
    ``used_at`` makes it good for one callback.
    """

    __tablename__ = "sign_in_attempts"

    state_sha256: Mapped[bytes] = mapped_column(unique=True)
    browser_sha256: Mapped[bytes] = mapped_column(index=True)
    key_id: Mapped[str]
    provider: Mapped[str]
    purpose: Mapped[str]
    # Whose account it is about; nobody's in a plain sign-in.
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    # The path to go to afterwards.
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
