"""Permissions, and the roles that have them."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """Permissions, named ``things:verb`` and sorted by name."""

    DOCUMENTS_READ = "documents:read"
    DOCUMENTS_REVIEW = "documents:review"
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
_WRITE = _READ | {Permission.RUNS_WRITE, Permission.SOURCES_WRITE}
_REVIEW = _WRITE | {Permission.DOCUMENTS_REVIEW}
_OWN = _REVIEW | {Permission.MEMBERS_WRITE}

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _READ,
    Role.WRITER: _WRITE,
    Role.REVIEWER: _REVIEW,
    Role.OWNER: _OWN,
}
