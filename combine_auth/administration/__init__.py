"""The administration of the site: users, their sessions, and the audit.

Administrators have no rights in projects: only the members of a project see its content.
"""

from __future__ import annotations

from enum import StrEnum


class AdminPermission(StrEnum):
    """A permission of administrators, which is also a scope of tokens."""

    AUDIT_READ = "audit:read"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
