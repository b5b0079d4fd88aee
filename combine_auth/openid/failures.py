"""What goes wrong with a provider, as one of our failures: a code, and a line for the operator."""

from __future__ import annotations

import re
from typing import Any, Final

import requests

from combine_auth.failure import FailureCode, SignInFailure
from combine_auth.openid.wire import AnswerTooLarge

RETRY_S: Final = 30
_LONGEST_WAIT_S: Final = 3600
_LONGEST_TEXT: Final = 200

# RFC 6749, 4.1.2.1 and 5.2; OpenID Connect Core 1.0, 3.1.2.6; and what Google and Microsoft say.
_CODES: Final = {
    "access_denied": FailureCode.ACCESS_DENIED,
    "consent_required": FailureCode.ACCESS_DENIED,
    "interaction_required": FailureCode.ACCESS_DENIED,
    "account_selection_required": FailureCode.ACCESS_DENIED,
    "login_required": FailureCode.LOGIN_EXPIRED,
    "invalid_grant": FailureCode.LOGIN_EXPIRED,
    "invalid_client": FailureCode.INVALID_CLIENT,
    "unauthorized_client": FailureCode.INVALID_CLIENT,
    "deleted_client": FailureCode.INVALID_CLIENT,
    "disabled_client": FailureCode.INVALID_CLIENT,
    "org_internal": FailureCode.ACCESS_DENIED,
    "redirect_uri_mismatch": FailureCode.REDIRECT_URI_MISMATCH,
    "invalid_redirect_uri": FailureCode.REDIRECT_URI_MISMATCH,
    "server_error": FailureCode.PROVIDER_UNAVAILABLE,
    "temporarily_unavailable": FailureCode.PROVIDER_UNAVAILABLE,
    "slow_down": FailureCode.PROVIDER_UNAVAILABLE,
}
# Microsoft says this of an unregistered redirect URI (AADSTS50011), others name the parameter.
_REDIRECT = re.compile(r"AADSTS50011\b|redirect_uri", re.IGNORECASE)
# Microsoft: a wrong secret, an unknown application.
_CLIENT = re.compile(r"AADSTS(7000215|7000222|700016|7000218)\b")


def refused(error: object, description: object = None) -> SignInFailure:
    """The failure for an error that the provider sent, to the callback or from its token endpoint.

    :param error: its code; anything at all
    :param description: its words; for the log alone
    """
    code = error if isinstance(error, str) else ""
    said = description if isinstance(description, str) else ""
    found = _CODES.get(code, FailureCode.PROVIDER_ERROR)
    if found in {FailureCode.LOGIN_EXPIRED, FailureCode.PROVIDER_ERROR}:
        if _REDIRECT.search(said):
            found = FailureCode.REDIRECT_URI_MISMATCH
        elif _CLIENT.search(said):
            found = FailureCode.INVALID_CLIENT
    detail = f"the provider answered {plain(code) or 'an error without a code'}"
    if said:
        detail += f": {plain(said)}"
    waits = RETRY_S if found is FailureCode.PROVIDER_UNAVAILABLE else None
    return SignInFailure(found, detail, waits)


def out_of_order(response: requests.Response, what: str) -> SignInFailure | None:
    """The failure for an answer whose status is neither success nor an error of OAuth."""
    status = response.status_code
    if status == 429 or status >= 500:
        detail = f"{what} answered {status}"
        return SignInFailure(FailureCode.PROVIDER_UNAVAILABLE, detail, _retry_after(response))
    if 300 <= status < 400:
        detail = f"{what} answered {status}, a redirect, which is not followed"
        return SignInFailure(FailureCode.PROVIDER_ERROR, detail)
    return None


def unreachable(error: Exception, what: str) -> SignInFailure:
    """The failure for an exchange that came to nothing. Names the exception, not what it says."""
    if isinstance(error, AnswerTooLarge):
        detail = f"{what} answered too much: {error}"
    elif isinstance(error, requests.Timeout):
        detail = f"{what} did not answer in time"
    elif isinstance(error, requests.exceptions.SSLError):
        detail = f"{what}: the certificate or the TLS connection is not accepted"
    else:
        detail = f"{what} cannot be reached ({type(error).__name__})"
    return SignInFailure(FailureCode.PROVIDER_UNAVAILABLE, detail, RETRY_S)


def plain(text: str) -> str:
    """Text of the provider's for our log: one line, cut, nothing invisible."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text[: 2 * _LONGEST_TEXT])
    shown = " ".join(shown.split())
    return shown if len(shown) <= _LONGEST_TEXT else f"{shown[: _LONGEST_TEXT - 3]}..."


def _retry_after(response: requests.Response) -> int:
    """Seconds, from the header where it has a number (RFC 9110, 10.2.3); dates are not worth it."""
    given: Any = response.headers.get("Retry-After", "")
    if re.fullmatch(r"[0-9]{1,9}", given):
        return max(1, min(int(given), _LONGEST_WAIT_S))
    return RETRY_S
