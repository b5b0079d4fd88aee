"""Defines the identity of a request, the roles in projects and the permissions of each role."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.request import Request


@dataclass(frozen=True)
class Identity:
    """The value of ``request.identity``. It has plain values, so it stays valid after its session ends."""

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
    """The role of a member in a project. Each role includes the permissions of the previous one."""

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
    """A Pyramid event: a user became a member, got another role, or stopped being a member.

    It is sent in the transaction of the change. Rows that a subscriber writes with ``request.dbsession`` are
    committed together with the change.

    :ivar before: the old role; ``None`` if the user was not a member
    :ivar after: the new role; ``None`` if the user is no longer a member
    :ivar invitation_id: the link with which the user became a member
    """

    request: Request
    project_id: uuid.UUID
    user_id: uuid.UUID
    before: Role | None
    after: Role | None
    invitation_id: uuid.UUID | None = None
