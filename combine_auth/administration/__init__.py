"""What administrators of the site see and change: users, their sessions, the audit.

It gives them no rights in projects: only its members see what is in a project.
"""

from __future__ import annotations

from enum import StrEnum


class AdminPermission(StrEnum):
    """What an administrator may do, and may let a token do."""

    AUDIT_READ = "audit:read"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
