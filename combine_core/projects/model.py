"""The tables of projects and of the links that invite people into them."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from combine_core.database.metadata import Identified, Model
from combine_core.users import Role, User


class Project(Identified, Model):
    """A project. Only its members see its sources, runs and documents."""

    __tablename__ = "projects"

    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]


class ProjectInvitation(Identified, Model):
    """A link that makes one person a member. The table has the hash of its token, not the token."""

    __tablename__ = "project_invitations"

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    role: Mapped[str]
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    created_by: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    revoked_at: Mapped[datetime | None]

    # Asked for where they are needed, never by accident.
    maker: Mapped[User] = relationship(lazy="raise", viewonly=True, foreign_keys=[created_by])
    user: Mapped[User | None] = relationship(lazy="raise", viewonly=True, foreign_keys=[used_by])

    __table_args__ = (
        CheckConstraint(
            "role IN ({})".format(", ".join(f"'{role}'" for role in Role)), name="role"
        ),
        CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),
    )
