"""Lists, changes and removes the members of a project. A project always keeps an owner.

People become members by accepting a link: :mod:`combine_core.projects.invitations`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import CTE, ColumnElement, delete, func, or_, select, true, update
from sqlalchemy.orm import Session, joinedload

from combine_core.database import Page, paginate
from combine_core.users import Membership, Role


class NoMember(LookupError):
    """Raised when the user is not a member of the project."""


class LastOwner(ValueError):
    """Raised when the change would leave the project without an owner, which cannot be undone."""

    def __init__(self) -> None:
        super().__init__(
            "This is the only owner of the project. Make another member an owner first."
        )


@dataclass(frozen=True)
class RoleChange:
    """A change of a user's role in a project. A role of ``None`` means that the user is not a member.

    :ivar invitation_id: the link with which the user became a member
    """

    project_id: uuid.UUID
    user_id: uuid.UUID
    before: Role | None
    after: Role | None
    invitation_id: uuid.UUID | None = None


# Is called in the transaction of each change. The API and the pages pass the change on to the add-ons.
Notify = Callable[[RoleChange], object]


def list_members(
    session: Session, project_id: uuid.UUID, *, cursor: str | None = None, limit: int = 50
) -> Page[Membership]:
    """Return the members with their users, newest accounts first."""
    statement = (
        select(Membership)
        .where(Membership.project_id == project_id)
        .options(joinedload(Membership.user))
    )
    return paginate(session, statement, Membership.user_id, cursor=cursor, limit=limit)


def read_member(session: Session, project_id: uuid.UUID, user_id: uuid.UUID) -> Membership:
    """Return a member with its user.

    :raises NoMember: if the user is not a member
    """
    found = session.scalar(
        select(Membership)
        .where(Membership.project_id == project_id, Membership.user_id == user_id)
        .options(joinedload(Membership.user))
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise NoMember
    return found


def change_role(
    session: Session, project_id: uuid.UUID, user_id: uuid.UUID, role: Role, *, notify: Notify
) -> None:
    """Change the role of a member.

    :raises NoMember: if the user is not a member
    :raises LastOwner: if the project would have no owner
    """
    locked, may_lose = _lock_owners_and(project_id, user_id)
    before = session.scalar(
        update(Membership)
        .where(
            Membership.project_id == project_id,
            Membership.user_id == locked.c.user_id,
            locked.c.user_id == user_id,
            true() if role is Role.OWNER else may_lose,
        )
        .values(role=role)
        .returning(locked.c.role)
        .execution_options(synchronize_session=False)
    )
    if before is None:
        raise _role_change_error(session, project_id, user_id)
    if before != role:
        notify(RoleChange(project_id, user_id, Role(before), role))


def remove_member(
    session: Session, project_id: uuid.UUID, user_id: uuid.UUID, *, notify: Notify
) -> None:
    """Remove a member.

    :raises NoMember: if the user is not a member
    :raises LastOwner: if the project would have no owner
    """
    locked, may_lose = _lock_owners_and(project_id, user_id)
    before = session.scalar(
        delete(Membership)
        .where(
            Membership.project_id == project_id,
            Membership.user_id == locked.c.user_id,
            locked.c.user_id == user_id,
            may_lose,
        )
        .returning(locked.c.role)
        .execution_options(synchronize_session=False)
    )
    if before is None:
        raise _role_change_error(session, project_id, user_id)
    notify(RoleChange(project_id, user_id, Role(before), None))


def _lock_owners_and(project_id: uuid.UUID, user_id: uuid.UUID) -> tuple[CTE, ColumnElement[bool]]:
    """Lock this member and all owners in a fixed order. Also return the condition that an owner remains.

    Without the locks, two owners could remove each other at the same time. With them, the second statement
    waits and then counts one owner less.
    """
    locked = (
        select(Membership.user_id, Membership.role)
        .where(
            Membership.project_id == project_id,
            or_(Membership.user_id == user_id, Membership.role == Role.OWNER),
        )
        .order_by(Membership.user_id)
        .with_for_update()
        .cte("locked")
    )
    owners = select(func.count()).select_from(locked).where(locked.c.role == Role.OWNER)
    return locked, or_(locked.c.role != Role.OWNER, owners.scalar_subquery() > 1)


def _role_change_error(session: Session, project_id: uuid.UUID, user_id: uuid.UUID) -> Exception:
    try:
        read_member(session, project_id, user_id)
    except NoMember as error:
        return error
    return LastOwner()
