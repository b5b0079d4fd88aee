"""Creates, lists, finds and changes projects."""

from __future__ import annotations

import re
import secrets
import unicodedata
import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from combine_core.database import NEWEST_FIRST, AnySelect, Page, new_id, paginate
from combine_core.projects.model import Project
from combine_core.text import clean_name
from combine_core.users import Membership, Role
from combine_core.users.user_query import UserId

SLUG_PATTERN = "[a-z0-9]+(?:-[a-z0-9]+)*"
_MAX_SLUG = 60


def slugify(name: str) -> str:
    """Convert a name to a word for a URL, or to ``project`` if it has no usable letter."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub("[^a-z0-9]+", "-", ascii_name).strip("-")[:_MAX_SLUG].strip("-")
    return slug or "project"


def create_project(session: Session, name: str, owner_id: uuid.UUID) -> Project:
    """Create a project with this owner. Projects with equal names get different slugs.

    :raises InvalidText: if the name is invalid
    """
    name = clean_name(name)
    slug = slugify(name)
    candidate = slug
    while True:
        # A taken slug gets a random suffix. A number would reveal how many projects of this name exist.
        inserted = session.scalar(
            insert(Project)
            .values(id=new_id(), slug=candidate, name=name)
            .on_conflict_do_nothing(index_elements=[Project.slug])
            .returning(Project.id)
        )
        if inserted is not None:
            break
        candidate = f"{slug}-{secrets.token_hex(3)}"
    session.add(Membership(project_id=inserted, user_id=owner_id, role=Role.OWNER))
    session.flush()
    return session.get_one(Project, inserted)


def list_projects(
    session: Session,
    user_id: uuid.UUID,
    *,
    archived: bool = False,
    sort: str = NEWEST_FIRST,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Project]:
    """List the projects that a user is a member of.

    :param archived: list only archived projects instead of only active ones
    """
    statement = (
        select(Project)
        .join(Membership)
        .where(Membership.user_id == user_id, Project.archived_at.is_not(None) == archived)
    )
    return paginate(
        session, statement, Project.id, named=Project.name, sort=sort, cursor=cursor, limit=limit
    )


class OwnProject(NamedTuple):
    """A project of the user of a request: the columns of :class:`Project`, and the user's role."""

    id: uuid.UUID
    slug: str
    name: str
    created_at: datetime
    archived_at: datetime | None
    role: str


def own_projects(user_id: UserId) -> AnySelect:
    """Select the projects of a user with the columns of :class:`OwnProject`."""
    return (
        select(
            Project.id,
            Project.slug,
            Project.name,
            Project.created_at,
            Project.archived_at,
            Membership.role,
        )
        .join(Membership, Membership.project_id == Project.id)
        .where(Membership.user_id == user_id)
    )


def find_owned_project(
    session: Session, name: str, owner_id: uuid.UUID, *, within: timedelta | None = None
) -> Project | None:
    """Return a project with this name and owner, or ``None``.

    :param within: find only projects that were created within this time
    """
    recent = true() if within is None else Project.created_at > func.now() - within
    return session.scalar(
        select(Project)
        .join(Membership)
        .where(
            Membership.user_id == owner_id,
            Membership.role == Role.OWNER,
            Project.name == name.strip(),
            recent,
        )
        .limit(1)
    )


def change_project(
    session: Session, project: Project, *, name: str | None = None, archived: bool | None = None
) -> None:
    """Change the name or the archived state of a project. The slug stays, so that links keep working.

    :raises InvalidText: if the name is invalid
    """
    if name is not None:
        project.name = clean_name(name)
    if archived is not None:
        project.archived_at = (project.archived_at or func.now()) if archived else None
    session.flush()
    session.refresh(project)
