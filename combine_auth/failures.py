"""The exceptions of a change that a rule forbids, and of a failed sign-in.

The error page, the log and the audit share the codes of failed sign-ins.

:mod:`combine_auth.sign_in.failures` has the text for each code.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

# Seconds to wait if the provider sends no Retry-After.
RETRY_AFTER_S: Final = 30
_MAX_LINE: Final = 200


class Refused(ValueError):
    """A rule forbids the change. The text gives the user the reason and the remedy."""


def clean_name(name: str, label: str, max_length: int) -> str:
    """Strip and validate a name. Raises Refused, with a text that begins with ``label``."""
    name = name.strip()
    if not (name and name.isprintable() and len(name) <= max_length):
        raise Refused(f"{label} must have 1 to {max_length} printable characters.")
    return name


class FailureCode(StrEnum):
    """The reason for a failed sign-in. It appears in the URL of the error page."""

    # The browser returned without a valid state.
    STATE_MISSING = "state_missing"
    STATE_MISMATCH = "state_mismatch"
    STATE_USED = "state_used"
    STATE_EXPIRED = "state_expired"
    ISSUER_MISMATCH = "issuer_mismatch"
    # The provider denied access, or rejected the code.
    ACCESS_DENIED = "access_denied"
    LOGIN_EXPIRED = "login_expired"
    # The service's registration with the provider is wrong.
    PROVIDER_NOT_CONFIGURED = "provider_not_configured"
    INVALID_CLIENT = "invalid_client"
    REDIRECT_URI_MISMATCH = "redirect_uri_mismatch"
    # The provider failed.
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_ERROR = "provider_error"
    ID_TOKEN_INVALID = "id_token_invalid"  # noqa: S105 - a code
    # The service rejects this person or this sign-in.
    TENANT_NOT_ALLOWED = "tenant_not_allowed"
    DOMAIN_NOT_ALLOWED = "domain_not_allowed"
    ACCOUNT_DISABLED = "account_disabled"
    NOT_INVITED = "not_invited"
    INVITATION_UNOPENED = "invitation_unopened"
    EMAIL_IN_USE = "email_in_use"
    IDENTITY_IN_USE = "identity_in_use"
    INVITATION_INVALID = "invitation_invalid"
    SIGNED_OUT = "signed_out"
    NOT_FRESH = "not_fresh"
    WRONG_USER = "wrong_user"


class SignInFailure(Exception):
    """A sign-in failed.

    :param code: the reason
    :param detail: one line for the log and the audit, without secrets and tokens
    :param retry_after: seconds after which a retry may succeed
    """

    def __init__(self, code: FailureCode, detail: str = "", retry_after: int | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else str(code))
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


def provider_unavailable(detail: str, retry_after: int = RETRY_AFTER_S) -> SignInFailure:
    """Return the failure for a provider that sends no usable response."""
    return SignInFailure(FailureCode.PROVIDER_UNAVAILABLE, detail, retry_after)


# RFC 6749, 4.1.2.1 and 5.2; OpenID Connect Core 1.0, 3.1.2.6; and errors of Google and Microsoft.
_OAUTH_ERRORS: Final = {
    "access_denied": FailureCode.ACCESS_DENIED,
    "consent_required": FailureCode.ACCESS_DENIED,
    "interaction_required": FailureCode.ACCESS_DENIED,
    "account_selection_required": FailureCode.ACCESS_DENIED,
    "org_internal": FailureCode.ACCESS_DENIED,
    "login_required": FailureCode.LOGIN_EXPIRED,
    "invalid_grant": FailureCode.LOGIN_EXPIRED,
    "invalid_client": FailureCode.INVALID_CLIENT,
    "unauthorized_client": FailureCode.INVALID_CLIENT,
    "deleted_client": FailureCode.INVALID_CLIENT,
    "disabled_client": FailureCode.INVALID_CLIENT,
    "redirect_uri_mismatch": FailureCode.REDIRECT_URI_MISMATCH,
    "invalid_redirect_uri": FailureCode.REDIRECT_URI_MISMATCH,
    "server_error": FailureCode.PROVIDER_UNAVAILABLE,
    "temporarily_unavailable": FailureCode.PROVIDER_UNAVAILABLE,
    "slow_down": FailureCode.PROVIDER_UNAVAILABLE,
}
# AADSTS50011 is Microsoft's error for an unregistered redirect URI. Others name the parameter.
_REDIRECT_URI_ERROR = re.compile(r"AADSTS50011\b|redirect_uri", re.IGNORECASE)
# Microsoft: a wrong or expired secret, an unknown application.
_CLIENT_ERROR = re.compile(r"AADSTS(7000215|7000222|700016|7000218)\b")


def provider_refused(error: object, description: object = None) -> SignInFailure:
    """Return the failure for an error that the callback or the token endpoint reported.

    :param error: the error code, not validated
    :param description: the error description, not validated; for the log only
    """
    name = error if isinstance(error, str) else ""
    text = description if isinstance(description, str) else ""
    code = _OAUTH_ERRORS.get(name, FailureCode.PROVIDER_ERROR)
    if code in {FailureCode.LOGIN_EXPIRED, FailureCode.PROVIDER_ERROR}:
        if _REDIRECT_URI_ERROR.search(text):
            code = FailureCode.REDIRECT_URI_MISMATCH
        elif _CLIENT_ERROR.search(text):
            code = FailureCode.INVALID_CLIENT
    detail = f"the provider answered {one_line(name) or 'an error without a code'}"
    if text:
        detail += f": {one_line(text)}"
    if code is FailureCode.PROVIDER_UNAVAILABLE:
        return provider_unavailable(detail)
    return SignInFailure(code, detail)


def one_line(text: str) -> str:
    """Return untrusted text as one truncated line of printable characters, for the log."""
    line = "".join(char if char.isprintable() else " " for char in text[: 2 * _MAX_LINE])
    line = " ".join(line.split())
    return line if len(line) <= _MAX_LINE else f"{line[: _MAX_LINE - 3]}..."
