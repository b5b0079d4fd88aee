"""Defines the tables of projects and of invitation links."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, case, exists, func
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from combine_core.database.metadata import Identified, Model, one_of
from combine_core.users import Membership, Role, User


class Project(Identified, Model):
    """A project. Only its members can see its sources, runs and documents."""

    __tablename__ = "projects"

    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    # Lists omit archived projects.
    archived_at: Mapped[datetime | None]


class InvitationState(StrEnum):
    """The state of an invitation link."""

    OPEN = "open"
    USED = "used"
    EXPIRED = "expired"
    # Revoked by an owner, or invalid because its creator no longer owns the project.
    REVOKED = "revoked"


class ProjectInvitation(Identified, Model):
    """A link that makes one person a member. The table stores only the hash of its token."""

    __tablename__ = "project_invitations"

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    role: Mapped[str]
    token_sha256: Mapped[bytes] = mapped_column(unique=True)
    created_by: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    expires_at: Mapped[datetime] = mapped_column()
    used_at: Mapped[datetime | None] = mapped_column()
    used_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    revoked_at: Mapped[datetime | None] = mapped_column()

    # lazy="raise": queries load these explicitly where they are needed.
    project: Mapped[Project] = relationship(lazy="raise", viewonly=True)
    maker: Mapped[User] = relationship(lazy="raise", viewonly=True, foreign_keys=[created_by])
    user: Mapped[User | None] = relationship(lazy="raise", viewonly=True, foreign_keys=[used_by])

    __table_args__ = (
        one_of("role", Role),
        CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),
    )

    # Computed in SQL and loaded with the columns.
    state: Mapped[str] = column_property(
        case(
            (used_at.is_not(None), InvitationState.USED),
            (revoked_at.is_not(None), InvitationState.REVOKED),
            (
                ~exists()
                .where(
                    Membership.project_id == project_id,
                    Membership.user_id == created_by,
                    Membership.role == Role.OWNER,
                    User.id == created_by,
                    User.disabled_at.is_(None),
                )
                .correlate_except(Membership, User),
                InvitationState.REVOKED,
            ),
            (expires_at <= func.now(), InvitationState.EXPIRED),
            else_=InvitationState.OPEN,
        )
    )
