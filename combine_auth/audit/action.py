"""What the audit tells of."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """The kinds of lines. Each is a word that ``combine audit --action`` takes."""

    # Browsers.
    SIGN_IN = "sign-in"
    SIGN_OUT = "sign-out"
    SESSION_END = "session-end"
    SESSIONS_END_ALL = "sessions-end-all"
    # The identities by which people sign in.
    IDENTITY_LINK = "identity-link"
    IDENTITY_UNLINK = "identity-unlink"
    INVITATION = "invitation"
    # Users and what they may do.
    USER_CREATE = "user-create"
    USER_DISABLE = "user-disable"
    USER_ENABLE = "user-enable"
    ADMIN_GRANT = "admin-grant"
    ADMIN_REVOKE = "admin-revoke"
    MEMBER_ROLE = "member-role"
    # Programs.
    TOKEN_CREATE = "token-create"  # noqa: S105 - a word
    TOKEN_REVOKE = "token-revoke"  # noqa: S105 - a word
    TOKEN_LEAKED = "token-leaked"  # noqa: S105 - a word
    CLIENT_CREATE = "client-create"
    CLIENT_CHANGE = "client-change"
    CLIENT_DISABLE = "client-disable"
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
