import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class Greeting(Identified, Model):
    """A greeting that a user sent."""

    __tablename__ = "greetings"

    # Greetings are deleted with their user.
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    text: Mapped[str]
