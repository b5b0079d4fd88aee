"""Defines the tables of users and their memberships in projects."""

from __future__ import annotations

import datetime
import uuid

from sqlalchemy import ForeignKey, Index, false, func, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from combine_core.database.metadata import Identified, Model, one_of
from combine_core.users.permission import Role


class User(Identified, Model):
    """A person or a service account. Other tables store the sign-in methods."""

    __tablename__ = "users"

    email: Mapped[str]
    name: Mapped[str]
    is_admin: Mapped[bool] = mapped_column(default=False)
    # Whether a setting made the user an administrator. Removing the setting revokes that.
    admin_by_setting: Mapped[bool] = mapped_column(default=False, server_default=false())
    disabled_at: Mapped[datetime.datetime | None]
    # Whether the user wants mail about reviews and mentions.
    gets_mail: Mapped[bool] = mapped_column(default=True, server_default=true(), deferred=True)

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

    # lazy="raise": queries load the user explicitly where it is needed.
    user: Mapped[User] = relationship(lazy="raise", viewonly=True)

    __table_args__ = (one_of("role", Role),)
