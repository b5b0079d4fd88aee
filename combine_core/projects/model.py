"""The table of projects."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database.metadata import Identified, Model


class Project(Identified, Model):
    """A room of its own: its sources, runs and documents are seen by its members only."""

    __tablename__ = "projects"

    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
