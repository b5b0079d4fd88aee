"""Deletes users. What they have made in projects with others stays there, without their name.

This module stands on the projects, which stand on the rest of this package.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.orm import Session, aliased

from combine_core.deletion import (
    Impossible,
    NotThere,
    Plan,
    delete_project,
    in_words,
    plan_projects,
)
from combine_core.projects import Project
from combine_core.users.model import Membership, User
from combine_core.users.permission import Role

__all__ = ["Impossible", "NotThere", "Plan", "delete_user", "in_words", "plan_user"]

MOST_NAMED = 10
_Other = aliased(Membership)
_OTHERS = exists().where(
    _Other.project_id == Membership.project_id, _Other.user_id != Membership.user_id
)


def plan_user(session: Session, user_id: uuid.UUID, *, named: bool = False) -> Plan:
    """What goes with this user: the projects that nobody else is a member of, and memberships in others.

    :param named: name the projects that stand in the way. Only the user and operators may know them
    """
    alone = _projects_alone(session, user_id)
    plan = plan_projects(session, alone)
    others = select(func.count()).select_from(Membership).where(_is(user_id), _OTHERS)
    takes = {
        "projects": len(alone),
        **{kind: number for kind, number in plan.takes.items() if kind != "members"},
        "memberships": session.scalar(others) or 0,
    }
    return Plan(
        {kind: number for kind, number in takes.items() if number},
        obstacle=_left_behind(session, user_id, named=named) or plan.obstacle,
    )


def delete_user(session: Session, user_id: uuid.UUID, *, named: bool = False) -> Plan:
    """Delete a user, with what :func:`plan_user` says.

    :returns: what went along
    :raises NotThere: there is no such user
    :raises Impossible: a project would be left without an owner, or a run is going on in one that goes
    """
    locked = select(User.id).where(User.id == user_id).with_for_update()
    if session.scalar(locked) is None:
        raise NotThere
    # Nobody joins or leaves these projects, and nobody in them gets another role, until this has ended.
    mine = select(Membership.project_id).where(_is(user_id))
    session.execute(
        select(Project.id).where(Project.id.in_(mine)).order_by(Project.id).with_for_update()
    )
    session.execute(
        select(Membership.user_id)
        .where(Membership.project_id.in_(mine), Membership.role == Role.OWNER)
        .order_by(Membership.project_id, Membership.user_id)
        .with_for_update()
    )
    plan = plan_user(session, user_id, named=named)
    plan.check_possible()
    for project_id in _projects_alone(session, user_id):
        delete_project(session, project_id)
    session.execute(
        delete(User).where(User.id == user_id).execution_options(synchronize_session=False)
    )
    return plan


def _projects_alone(session: Session, user_id: uuid.UUID) -> Sequence[uuid.UUID]:
    alone = select(Membership.project_id).where(_is(user_id), ~_OTHERS)
    return session.scalars(alone.order_by(Membership.project_id)).all()


def _left_behind(session: Session, user_id: uuid.UUID, *, named: bool) -> str | None:
    other_owners = _OTHERS.where(_Other.role == Role.OWNER)
    names = session.scalars(
        select(Project.name)
        .join(Membership, Membership.project_id == Project.id)
        .where(_is(user_id), Membership.role == Role.OWNER, _OTHERS, ~other_owners)
        .order_by(Project.name)
    ).all()
    if not names:
        return None
    number = "a project" if len(names) == 1 else f"{len(names)} projects"
    which = ""
    if named:
        more = ", ..." if len(names) > MOST_NAMED else ""
        which = f": {', '.join(names[:MOST_NAMED])}{more}"
    return (
        f"This is the only owner of {number} with other members{which}."
        " Make another member an owner first, or delete the project."
    )


def _is(user_id: uuid.UUID) -> ColumnElement[bool]:
    return Membership.user_id == user_id
