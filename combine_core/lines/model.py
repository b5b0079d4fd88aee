"""Defines the table of line versions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database.metadata import Identified, Model


class LineVersion(Identified, Model):
    """The immutable definition of a line that a run used."""

    __tablename__ = "line_versions"

    name: Mapped[str]
    sha256: Mapped[str]
    definition: Mapped[dict[str, Any]] = mapped_column(deferred=True)

    __table_args__ = (UniqueConstraint("name", "sha256"),)
