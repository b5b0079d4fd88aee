"""Tables of people and of what they may do in a project."""

from __future__ import annotations

import datetime
import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index, false, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from combine_core.database.metadata import Identified, Model
from combine_core.users.permission import Role


class User(Identified, Model):
    """A person or a service account. Other tables store how they sign in."""

    __tablename__ = "users"

    email: Mapped[str]
    name: Mapped[str]
    is_admin: Mapped[bool] = mapped_column(default=False)
    # Made an administrator by a setting, which takes the rights away again.
    admin_by_setting: Mapped[bool] = mapped_column(default=False, server_default=false())
    disabled_at: Mapped[datetime.datetime | None]

    __table_args__ = (Index("uq_users_email", text("lower(email)"), unique=True),)


class Membership(Model):
    """The role of a user in a project."""

    __tablename__ = "memberships"

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    role: Mapped[str]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())

    # Asked for where it is needed, never by accident.
    user: Mapped[User] = relationship(lazy="raise", viewonly=True)

    __table_args__ = (
        CheckConstraint(
            "role IN ({})".format(", ".join(f"'{role}'" for role in Role)), name="role"
        ),
    )
