"""The tables for imported data that other tables cannot store."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database.metadata import Identified, Model

# The suffix of the name of a person who is known only from an import.
IMPORTED = " (imported)"


class ImportedPerson(Model):
    """A person in an imported project. The row is not an account, whatever its address."""

    __tablename__ = "imported_people"

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    # The id in the rows and documents of the project.
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    # Name and address are empty if the person was erased.
    name: Mapped[str]
    email: Mapped[str]

    __table_args__ = (Index("ix_imported_people_email", text("lower(email)")),)


class ImportedRow(Model):
    """The original values of an imported row: its people, and the origin of a version."""

    __tablename__ = "imported_rows"

    # The id of the row, or an id that is derived from its key.
    row_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    # The original values by column name.
    given: Mapped[dict[str, Any]]


class ImportedReview(Identified, Model):
    """A review in another service. It is shown, but has no effect."""

    __tablename__ = "imported_reviews"

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    document_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("documents.id", ondelete="CASCADE"), index=True
    )
    version_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("document_versions.id", ondelete="CASCADE"), index=True
    )
    # The other columns of the review, with its people and decisions.
    review: Mapped[dict[str, Any]]
