"""The ways in which a client may ask for tokens."""

from __future__ import annotations

from enum import StrEnum


class GrantType(StrEnum):
    """Values of ``grant_type``. There is no password and no implicit grant (RFC 9700, 2.1.2, 2.4)."""

    AUTHORIZATION_CODE = "authorization_code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the word of RFC 6749
    CLIENT_CREDENTIALS = "client_credentials"
    DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
