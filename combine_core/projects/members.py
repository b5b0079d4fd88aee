"""Members of a project: who they are, what their role is, and that one of them stays its owner.

Nobody can learn from this who has an account. By e-mail an owner adds only people whom they can see
anyway: those with whom they share a project (an administrator: all). For everybody else the answer
is the same, whether there is such a person or not. A person whom the owner shares nothing with yet
tells them their user id, which cannot be guessed.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import CTE, ColumnElement, delete, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased, joinedload

from combine_core.database import Page, paginate
from combine_core.users import Identity, Membership, Role, RoleChanged, User

if TYPE_CHECKING:
    from pyramid.request import Request


class UnknownPerson(ValueError):
    """The user does not exist, or the person who asks may not know that it exists."""


class NoMember(LookupError):
    """The user is not a member of the project."""


class MemberAlready(ValueError):
    """The user is already a member."""


class LastOwner(ValueError):
    """The change would leave the project without an owner, which nobody could repair."""

    def __init__(self) -> None:
        super().__init__(
            "This is the only owner of the project. Make another member an owner first."
        )


@dataclass(frozen=True)
class RoleChange:
    """What has become of a member. ``None``: is none."""

    user_id: uuid.UUID
    before: Role | None
    after: Role | None


def announce(request: Request, project_id: uuid.UUID, change: RoleChange) -> None:
    """Notify the add-ons, within the transaction. Every view that changes a role calls this."""
    if change.before is not change.after:
        request.registry.notify(
            RoleChanged(request, project_id, change.user_id, change.before, change.after)
        )


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
    """One member, with its user.

    :raises NoMember: there is none of this id
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


def find_known_user(session: Session, asker: Identity, email: str) -> uuid.UUID:
    """The user of this address, if the asker may know that there is one. One statement either way.

    :raises UnknownPerson: there is none, or none whom the asker may know of
    """
    address = email.strip()
    found = None
    if "\0" not in address:
        found = session.scalar(
            select(User.id).where(
                func.lower(User.email) == address.lower(),
                User.disabled_at.is_(None),
                true() if asker.is_admin else _shares_a_project(asker.user_id),
            )
        )
    if found is None:
        message = (
            "is of nobody with whom you share a project. Ask the person for their user id, which"
            " they find on their account page, and add them by that"
        )
        raise UnknownPerson(message)
    return found


def _shares_a_project(asker_id: uuid.UUID) -> ColumnElement[bool]:
    mine, theirs = aliased(Membership), aliased(Membership)
    return (
        select(theirs.user_id)
        .join(mine, mine.project_id == theirs.project_id)
        .where(mine.user_id == asker_id, theirs.user_id == User.id)
        .exists()
    )


def add_member(
    session: Session, project_id: uuid.UUID, user_id: uuid.UUID, role: Role
) -> RoleChange:
    """Make this user a member.

    :raises UnknownPerson: there is no such user, or it is disabled
    :raises MemberAlready: it is one
    """
    person = select(User.id).where(User.id == user_id, User.disabled_at.is_(None))
    if session.scalar(person) is None:
        message = "is of nobody. Check it with the person"
        raise UnknownPerson(message)
    added = session.scalar(
        insert(Membership)
        .values(project_id=project_id, user_id=user_id, role=role)
        .on_conflict_do_nothing()
        .returning(Membership.user_id)
    )
    if added is None:
        message = "This person is a member already. Change their role instead."
        raise MemberAlready(message)
    return RoleChange(user_id, None, role)


def set_role(session: Session, project_id: uuid.UUID, user_id: uuid.UUID, role: Role) -> RoleChange:
    """Change the role of a member, or make the user a member with this role.

    :raises UnknownPerson: there is no such user, or it is disabled
    :raises LastOwner: the project would have no owner left
    """
    try:
        return change_role(session, project_id, user_id, role)
    except NoMember:
        return add_member(session, project_id, user_id, role)


def change_role(
    session: Session, project_id: uuid.UUID, user_id: uuid.UUID, role: Role
) -> RoleChange:
    """Change the role of a member.

    :raises NoMember: there is none of this id
    :raises LastOwner: nobody would be left to own the project
    """
    locked, may_lose = _owners_and(project_id, user_id)
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
        raise _why_not(session, project_id, user_id)
    return RoleChange(user_id, Role(before), role)


def remove_member(session: Session, project_id: uuid.UUID, user_id: uuid.UUID) -> RoleChange:
    """Remove a member.

    :raises NoMember: there is none of this id
    :raises LastOwner: nobody would be left to own the project
    """
    locked, may_lose = _owners_and(project_id, user_id)
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
        raise _why_not(session, project_id, user_id)
    return RoleChange(user_id, Role(before), None)


def _owners_and(project_id: uuid.UUID, user_id: uuid.UUID) -> tuple[CTE, ColumnElement[bool]]:
    """This member and all owners, locked in one order; and whether the project can do without it.

    The locks are what holds against two owners who let each other go at the same moment: the second
    statement waits here, and then counts one owner less.
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


def _why_not(session: Session, project_id: uuid.UUID, user_id: uuid.UUID) -> Exception:
    try:
        read_member(session, project_id, user_id)
    except NoMember as error:
        return error
    return LastOwner()
