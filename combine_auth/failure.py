"""Why a sign-in fails: a closed set of codes, which the error page, the log and the audit share."""

from __future__ import annotations

from enum import StrEnum


class FailureCode(StrEnum):
    """The reasons. Each is a word in the URL of the error page, and has its own text there."""

    # The browser came back with something else than what it left with.
    STATE_MISSING = "state_missing"
    STATE_MISMATCH = "state_mismatch"
    STATE_USED = "state_used"
    STATE_EXPIRED = "state_expired"
    ISSUER_MISMATCH = "issuer_mismatch"
    # The provider did not let the person in, or no longer knows the code.
    ACCESS_DENIED = "access_denied"
    LOGIN_EXPIRED = "login_expired"
    # The service's registration with the provider.
    PROVIDER_NOT_CONFIGURED = "provider_not_configured"
    INVALID_CLIENT = "invalid_client"
    REDIRECT_URI_MISMATCH = "redirect_uri_mismatch"
    # The provider itself.
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_ERROR = "provider_error"
    ID_TOKEN_INVALID = "id_token_invalid"  # noqa: S105 - a code
    # Who came is not let in, or not like this.
    TENANT_NOT_ALLOWED = "tenant_not_allowed"
    DOMAIN_NOT_ALLOWED = "domain_not_allowed"
    ACCOUNT_DISABLED = "account_disabled"
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
    :param detail: for the operator's log and the audit: one line, no secret, no token
    :param retry_after: seconds after which it may go better
    """

    def __init__(self, code: FailureCode, detail: str = "", retry_after: int | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else str(code))
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
