"""The table of projects."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database.metadata import Identified, Model


class Project(Identified, Model):
    """A project. Only its members see its sources, runs and documents."""

    __tablename__ = "projects"

    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
