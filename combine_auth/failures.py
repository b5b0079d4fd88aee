"""Why a sign-in fails: the codes, which the error page, the log and the audit share.

The texts of the codes are in :mod:`combine_auth.sign_in.failures`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

# Seconds that somebody is asked to wait where the provider did not say how long.
RETRY_AFTER_S: Final = 30
_LONGEST_LINE: Final = 200


class FailureCode(StrEnum):
    """The reasons. Each appears in the URL of the error page, and has its own text there."""

    # The browser did not come back with what it left with.
    STATE_MISSING = "state_missing"
    STATE_MISMATCH = "state_mismatch"
    STATE_USED = "state_used"
    STATE_EXPIRED = "state_expired"
    ISSUER_MISMATCH = "issuer_mismatch"
    # The provider did not let the person in, or no longer accepts the code.
    ACCESS_DENIED = "access_denied"
    LOGIN_EXPIRED = "login_expired"
    # The service's registration with the provider is wrong.
    PROVIDER_NOT_CONFIGURED = "provider_not_configured"
    INVALID_CLIENT = "invalid_client"
    REDIRECT_URI_MISMATCH = "redirect_uri_mismatch"
    # The provider does not work.
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_ERROR = "provider_error"
    ID_TOKEN_INVALID = "id_token_invalid"  # noqa: S105 - a code
    # The service does not let this person in, or not in this way.
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
    RATE_LIMITED = "rate_limited"


class SignInFailure(Exception):
    """A sign-in that ends here.

    :param code: why
    :param detail: one line for the operator's log and the audit, without secrets and tokens
    :param retry_after: seconds after which another try may succeed
    """

    def __init__(self, code: FailureCode, detail: str = "", retry_after: int | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else str(code))
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


def provider_unavailable(detail: str, retry_after: int = RETRY_AFTER_S) -> SignInFailure:
    """The failure of a provider that gives no usable answer at the moment."""
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
_REDIRECT_URI_REFUSED = re.compile(r"AADSTS50011\b|redirect_uri", re.IGNORECASE)
# Microsoft: a wrong or expired secret, an unknown application.
_CLIENT_REFUSED = re.compile(r"AADSTS(7000215|7000222|700016|7000218)\b")


def provider_refused(error: object, description: object = None) -> SignInFailure:
    """The failure for an error that the provider sent, to the callback or from its token endpoint.

    :param error: its error code, not validated
    :param description: its error description, not validated; for the log only
    """
    name = error if isinstance(error, str) else ""
    text = description if isinstance(description, str) else ""
    code = _OAUTH_ERRORS.get(name, FailureCode.PROVIDER_ERROR)
    if code in {FailureCode.LOGIN_EXPIRED, FailureCode.PROVIDER_ERROR}:
        if _REDIRECT_URI_REFUSED.search(text):
            code = FailureCode.REDIRECT_URI_MISMATCH
        elif _CLIENT_REFUSED.search(text):
            code = FailureCode.INVALID_CLIENT
    detail = f"the provider answered {one_line(name) or 'an error without a code'}"
    if text:
        detail += f": {one_line(text)}"
    if code is FailureCode.PROVIDER_UNAVAILABLE:
        return provider_unavailable(detail)
    return SignInFailure(code, detail)


def one_line(text: str) -> str:
    """Foreign text for the log: one line, shortened, without invisible characters."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text[: 2 * _LONGEST_LINE])
    shown = " ".join(shown.split())
    return shown if len(shown) <= _LONGEST_LINE else f"{shown[: _LONGEST_LINE - 3]}..."
