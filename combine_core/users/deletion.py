"""Deletes users. Their contributions to projects with other members stay, without their name.

This module imports combine_core.projects, which imports the rest of this package.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session, aliased

from combine_core.deletion import (
    Impossible,
    NotFound,
    Plan,
    delete_project,
    in_words,
    plan_projects,
)
from combine_core.projects import Project
from combine_core.users.model import Membership, User
from combine_core.users.permission import Role

__all__ = ["Impossible", "NotFound", "Plan", "delete_user", "in_words", "plan_user"]

MAX_NAMED = 10
_Other = aliased(Membership)
_HAS_OTHER_MEMBERS = exists().where(
    _Other.project_id == Membership.project_id, _Other.user_id != Membership.user_id
)


def plan_user(session: Session, user_id: uuid.UUID, *, named: bool = False) -> Plan:
    """Return the data that is deleted with a user: projects without other members, and memberships.

    :param named: whether the obstacle names the projects. Only the user and operators may see their names.
    """
    own_projects = _projects_without_others(session, user_id)
    plan = plan_projects(session, own_projects)
    shared = (
        select(func.count())
        .select_from(Membership)
        .where(Membership.user_id == user_id, _HAS_OTHER_MEMBERS)
    )
    takes = {
        "projects": len(own_projects),
        **{kind: number for kind, number in plan.takes.items() if kind != "members"},
        "memberships": session.scalar(shared) or 0,
    }
    return Plan(
        {kind: number for kind, number in takes.items() if number},
        obstacle=_orphaned_projects(session, user_id, named=named) or plan.obstacle,
    )


def delete_user(session: Session, user_id: uuid.UUID, *, named: bool = False) -> Plan:
    """Delete a user with the data that :func:`plan_user` lists.

    :returns: the plan of the deletion
    :raises NotFound: if the user does not exist
    :raises Impossible: if a project would have no owner, or a project to delete has an unfinished run
    """
    locked = select(User.id).where(User.id == user_id).with_for_update()
    if session.scalar(locked) is None:
        raise NotFound
    # Lock the projects and their owners, so that no membership or role changes until the end.
    own_projects = select(Membership.project_id).where(Membership.user_id == user_id)
    session.execute(
        select(Project.id)
        .where(Project.id.in_(own_projects))
        .order_by(Project.id)
        .with_for_update()
    )
    session.execute(
        select(Membership.user_id)
        .where(Membership.project_id.in_(own_projects), Membership.role == Role.OWNER)
        .order_by(Membership.project_id, Membership.user_id)
        .with_for_update()
    )
    plan = plan_user(session, user_id, named=named)
    plan.check_possible()
    for project_id in _projects_without_others(session, user_id):
        delete_project(session, project_id)
    session.execute(
        delete(User).where(User.id == user_id).execution_options(synchronize_session=False)
    )
    return plan


def _projects_without_others(session: Session, user_id: uuid.UUID) -> Sequence[uuid.UUID]:
    return session.scalars(
        select(Membership.project_id)
        .where(Membership.user_id == user_id, ~_HAS_OTHER_MEMBERS)
        .order_by(Membership.project_id)
    ).all()


def _orphaned_projects(session: Session, user_id: uuid.UUID, *, named: bool) -> str | None:
    """Return an error message if projects with other members would have no owner, or ``None``."""
    other_owners = _HAS_OTHER_MEMBERS.where(_Other.role == Role.OWNER)
    names = session.scalars(
        select(Project.name)
        .join(Membership, Membership.project_id == Project.id)
        .where(
            Membership.user_id == user_id,
            Membership.role == Role.OWNER,
            _HAS_OTHER_MEMBERS,
            ~other_owners,
        )
        .order_by(Project.name)
    ).all()
    if not names:
        return None
    number = "a project" if len(names) == 1 else f"{len(names)} projects"
    listed = ""
    if named:
        more = ", ..." if len(names) > MAX_NAMED else ""
        listed = f": {', '.join(names[:MAX_NAMED])}{more}"
    return (
        f"This is the only owner of {number} with other members{listed}."
        " Make another member an owner first, or delete the project."
    )
