"""The tables of what an import brings and no other table can hold."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database.metadata import Identified, Model

# What stands after the name of somebody who is only known from an import.
IMPORTED = " (imported)"


class ImportedPerson(Model):
    """Somebody whom an imported project names. It is no account, whatever the address is."""

    __tablename__ = "imported_people"

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    # As the rows and documents of the project have it.
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    # Both are empty when the person was erased.
    name: Mapped[str]
    email: Mapped[str]

    __table_args__ = (Index("ix_imported_people_email", text("lower(email)")),)


class ImportedRow(Model):
    """What an imported row had where it was: its people, and the origin of a version."""

    __tablename__ = "imported_rows"

    # Of the row; made from its key if it has no id.
    row_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    # By the names of the columns.
    given: Mapped[dict[str, Any]]


class ImportedReview(Identified, Model):
    """A review that took place elsewhere. It is shown, and counts for nothing."""

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
