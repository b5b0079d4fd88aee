import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class Greeting(Identified, Model):
    """A greeting that somebody has sent."""

    __tablename__ = "greetings"

    # What a user has made goes with the user.
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    text: Mapped[str]
