"""Who is asking, what roles there are in projects, and what each may do."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.request import Request


@dataclass(frozen=True)
class Identity:
    """What ``request.identity`` returns: plain values, so that it outlives the session it was read with."""

    user_id: uuid.UUID
    email: str
    name: str
    is_admin: bool


class Permission(StrEnum):
    """Permissions, named ``things:verb`` and sorted by name."""

    DOCUMENTS_READ = "documents:read"
    DOCUMENTS_REVIEW = "documents:review"
    DOCUMENTS_WRITE = "documents:write"
    MEMBERS_LEAVE = "members:leave"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    PROJECTS_READ = "projects:read"
    PROJECTS_WRITE = "projects:write"
    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    SOURCES_READ = "sources:read"
    SOURCES_WRITE = "sources:write"


class Role(StrEnum):
    """The role of a member in a project. Each role includes the permissions of the one before it."""

    VIEWER = "viewer"
    WRITER = "writer"
    REVIEWER = "reviewer"
    OWNER = "owner"


_READ = frozenset(
    {
        Permission.DOCUMENTS_READ,
        Permission.MEMBERS_LEAVE,
        Permission.MEMBERS_READ,
        Permission.PROJECTS_READ,
        Permission.RUNS_READ,
        Permission.SOURCES_READ,
    }
)
_WRITE = _READ | {Permission.DOCUMENTS_WRITE, Permission.RUNS_WRITE, Permission.SOURCES_WRITE}
_REVIEW = _WRITE | {Permission.DOCUMENTS_REVIEW}
_OWN = _REVIEW | {Permission.MEMBERS_WRITE, Permission.PROJECTS_WRITE}

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _READ,
    Role.WRITER: _WRITE,
    Role.REVIEWER: _REVIEW,
    Role.OWNER: _OWN,
}


@dataclass(frozen=True)
class RoleChanged:
    """A Pyramid event: somebody has become a member, has another role, or is a member no longer.

    Sent within the transaction of the change: what a subscriber writes with ``request.dbsession`` is
    stored with it or not at all.

    :ivar before: ``None``: was no member
    :ivar after: ``None``: is no member any more
    :ivar invitation_id: the link by which somebody has become a member
    """

    request: Request
    project_id: uuid.UUID
    user_id: uuid.UUID
    before: Role | None
    after: Role | None
    invitation_id: uuid.UUID | None = None
