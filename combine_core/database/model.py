"""The table of what undoes each revision of the schema."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database.metadata import Model


class Undo(Model):
    """How one applied revision is undone."""

    __tablename__ = "schema_undo"

    revision: Mapped[str] = mapped_column(primary_key=True)
    down_revision: Mapped[str | None]
    title: Mapped[str]
    statements: Mapped[str]
