"""Members of a project and their roles. A project always keeps an owner.

This does not reveal who has an account. By e-mail address, an owner can add only people with whom they
share a project already; an administrator can add anyone. For every other address the answer is the same,
whether an account exists or not. Such a person gives the owner their user id, which cannot be guessed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import CTE, ColumnElement, delete, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased, joinedload

from combine_core.database import Page, paginate
from combine_core.users import Identity, Membership, Role, User


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
    """A role in a project that was given, changed or taken. ``None``: not a member."""

    project_id: uuid.UUID
    user_id: uuid.UUID
    before: Role | None
    after: Role | None


# Takes each change within its transaction. A face passes it on to the add-ons.
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

    :raises NoMember: the user is not a member
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
    """Return the user with this address, if the asker may know of them. Takes one statement in any case.

    :raises UnknownPerson: there is no such user, or the asker may not know of them
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
        raise UnknownPerson(
            "belongs to nobody with whom you share a project. Ask the person for the user id on their"
            " account page, and add them with it"
        )
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
    session: Session, project_id: uuid.UUID, user_id: uuid.UUID, role: Role, *, notify: Notify
) -> None:
    """Make this user a member.

    :raises UnknownPerson: there is no such user, or it is disabled
    :raises MemberAlready: the user is already a member
    """
    person = select(User.id).where(User.id == user_id, User.disabled_at.is_(None))
    if session.scalar(person) is None:
        raise UnknownPerson("belongs to no active user. Check it with the person")
    added = session.scalar(
        insert(Membership)
        .values(project_id=project_id, user_id=user_id, role=role)
        .on_conflict_do_nothing()
        .returning(Membership.user_id)
    )
    if added is None:
        raise MemberAlready("This person is already a member. Change their role instead.")
    notify(RoleChange(project_id, user_id, None, role))


def set_role(
    session: Session, project_id: uuid.UUID, user_id: uuid.UUID, role: Role, *, notify: Notify
) -> bool:
    """Change the role of a member, or make the user a member with this role.

    :returns: whether the user was made a member
    :raises UnknownPerson: there is no such user, or it is disabled
    :raises LastOwner: the project would have no owner left
    """
    try:
        change_role(session, project_id, user_id, role, notify=notify)
    except NoMember:
        add_member(session, project_id, user_id, role, notify=notify)
        return True
    return False


def change_role(
    session: Session, project_id: uuid.UUID, user_id: uuid.UUID, role: Role, *, notify: Notify
) -> None:
    """Change the role of a member.

    :raises NoMember: the user is not a member
    :raises LastOwner: the project would have no owner left
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
    if before != role:
        notify(RoleChange(project_id, user_id, Role(before), role))


def remove_member(
    session: Session, project_id: uuid.UUID, user_id: uuid.UUID, *, notify: Notify
) -> None:
    """Remove a member.

    :raises NoMember: the user is not a member
    :raises LastOwner: the project would have no owner left
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
    notify(RoleChange(project_id, user_id, Role(before), None))


def _owners_and(project_id: uuid.UUID, user_id: uuid.UUID) -> tuple[CTE, ColumnElement[bool]]:
    """Lock this member and all owners, in one order. Also return the condition that an owner remains.

    Without the locks, two owners could remove each other at the same moment. With them, the second
    statement waits here and then counts one owner less.
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
