"""The table of the audit, and the kinds of its events."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Index
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database import Identified, Model


class Action(StrEnum):
    """The kind of an event. ``combine audit --action`` accepts these values."""

    # Browsers.
    SIGN_IN = "sign-in"
    SIGN_OUT = "sign-out"
    SESSION_END = "session-end"
    SESSIONS_END_ALL = "sessions-end-all"
    # The identities that people sign in with.
    IDENTITY_LINK = "identity-link"
    IDENTITY_UNLINK = "identity-unlink"
    # The provider has given a person another subject.
    IDENTITY_SUBJECT = "identity-subject"
    INVITATION = "invitation"
    # Users and their rights.
    USER_CREATE = "user-create"
    # A change of name or address.
    USER_CHANGE = "user-change"
    USER_DISABLE = "user-disable"
    USER_ENABLE = "user-enable"
    ADMIN_GRANT = "admin-grant"
    ADMIN_REVOKE = "admin-revoke"
    MEMBER_ROLE = "member-role"
    # Invitations to projects, which grant a role.
    PROJECT_INVITE = "project-invite"
    PROJECT_INVITE_REVOKE = "project-invite-revoke"
    USER_DELETE = "user-delete"
    # Projects and their data.
    PROJECT_CHANGE = "project-change"
    PROJECT_DELETE = "project-delete"
    # As a ZIP file.
    PROJECT_EXPORT = "project-export"
    PROJECT_IMPORT = "project-import"
    SOURCE_CHANGE = "source-change"
    SOURCE_DELETE = "source-delete"
    DOCUMENT_CHANGE = "document-change"
    DOCUMENT_EDIT = "document-edit"
    DOCUMENT_RESTORE = "document-restore"
    DOCUMENT_DELETE = "document-delete"
    RUN_DELETE = "run-delete"
    COMMENT_ADD = "comment-add"
    COMMENT_DELETE = "comment-delete"
    REVIEW_ASK = "review-ask"
    REVIEW_DECIDE = "review-decide"
    REVIEW_WITHDRAW = "review-withdraw"
    # Permanent deletion of all traces.
    ERASE = "erase"
    # Names and addresses in the audit were blanked.
    BLANK = "audit-blank"
    # Programs.
    TOKEN_CREATE = "token-create"  # noqa: S105 - a word
    TOKEN_REVOKE = "token-revoke"  # noqa: S105 - a word
    TOKEN_LEAKED = "token-leaked"  # noqa: S105 - a word
    CLIENT_CREATE = "client-create"
    CLIENT_CHANGE = "client-change"
    CLIENT_DISABLE = "client-disable"
    CLIENT_DELETE = "client-delete"
    CONSENT = "consent"
    CONSENT_REVOKE = "consent-revoke"
    DEVICE_APPROVE = "device-approve"
    DEVICE_DENY = "device-deny"
    OAUTH_TOKEN = "oauth-token"  # noqa: S105 - a word
    OAUTH_REVOKE = "oauth-revoke"
    REFRESH_REUSE = "refresh-reuse"
    CODE_REUSE = "code-reuse"
    # The service itself.
    SETTINGS = "settings"


class AuditEvent(Identified, Model):
    """A change to accounts, rights or project data. The table is append-only.

    A trigger rejects the deletion of rows younger than :data:`combine_auth.audit.KEPT_FOR`, and all updates
    except those of the function ``blank_audit_events``, which :mod:`combine_auth.audit.blanking` calls. There
    are no foreign keys, because an event outlives its target.
    """

    __tablename__ = "audit_events"

    action: Mapped[str]
    # "ok", or the code of the refusal.
    outcome: Mapped[str]
    # The user who caused the event, if known.
    actor_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    actor: Mapped[str | None]
    # The object of the event, such as "user:<id>" or "session:<id>".
    target: Mapped[str | None]
    ip: Mapped[str | None]
    request_id: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSON)

    __table_args__ = (Index("ix_audit_events_action_id", "action", "id"),)
