"""oauthlib's grants and token, with what they lack put right.

Each repair has a test of its own in tests/functional/auth/oauth_server/test_repairs.py.
"""

from __future__ import annotations

import re
from typing import Any

from oauthlib import oauth2
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.grant_types.authorization_code import code_challenge_method_s256
from oauthlib.oauth2.rfc6749.grant_types.base import GrantTypeBase
from oauthlib.oauth2.rfc8628.grant_types import DeviceCodeGrant

from combine_auth.clients import GrantType
from combine_auth.tokens.form import ACCESS, CODE, REFRESH

# 43 characters: SHA-256 in base64url.
_CHALLENGE = re.compile("[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile("[A-Za-z0-9._~-]{43,128}")
# So that the way to the sign-in page and back holds the whole request.
_LONGEST_STATE = 500


class CodeGrant(oauth2.AuthorizationCodeGrant):  # type: ignore[misc]
    """Authorization code with PKCE (RFC 7636) by S256."""

    # Repair: "plain" is in the library's table, and is what a missing method means there.
    _code_challenge_methods = {"S256": code_challenge_method_s256}  # noqa: RUF012 - the library's own

    def __init__(self, request_validator: Any, issuer: str) -> None:
        super().__init__(request_validator)
        self._issuer = issuer
        self.custom_validators.pre_auth.append(_check_authorization)

    def create_authorization_code(self, request: Any) -> dict[str, str]:
        """A code of our form, and who issues it (RFC 9207)."""
        made = {"code": CODE.new(), "iss": self._issuer}
        if request.state:
            made["state"] = request.state
        return made

    def validate_token_request(self, request: Any) -> None:
        """As the library does, but what does not fit the code is ``invalid_grant``."""
        try:
            super().validate_token_request(request)
        except (errors.MismatchingRedirectURIError, errors.MissingCodeVerifierError) as error:
            # Repair: the library says invalid_request (RFC 6749, 5.2; RFC 7636, 4.6).
            raise errors.InvalidGrantError(error.description, request=request) from error

    def validate_code_challenge(self, challenge: str, challenge_method: str, verifier: str) -> bool:
        """Whether the verifier fits, and is one at all."""
        if not _VERIFIER.fullmatch(verifier):
            return False
        fits: bool = super().validate_code_challenge(challenge, challenge_method, verifier)
        return fits


def _check_authorization(request: Any) -> dict[str, Any]:
    # Repair: the library looks whether "code" is somewhere in the text.
    if request.response_type is None:
        raise errors.MissingResponseTypeError(request=request)
    if request.response_type != "code":
        raise errors.UnsupportedResponseTypeError(request=request)
    # Repair: the library puts a code into the fragment if asked to.
    if request.response_mode not in (None, "query"):
        raise errors.InvalidRequestError("response_mode can only be query.", request=request)
    # Repair: oauthlib 4 takes any text for a challenge, and raises TypeError (500) at the token
    # endpoint if it is not ASCII.
    if request.code_challenge is not None and not _CHALLENGE.fullmatch(request.code_challenge):
        description = "code_challenge is not a SHA-256 in base64url: 43 characters."
        raise errors.InvalidRequestError(description, request=request)
    if len(request.state or "") > _LONGEST_STATE:
        description = f"state has more than {_LONGEST_STATE} characters."
        raise errors.InvalidRequestError(description, request=request)
    return {}


class UnknownGrant(GrantTypeBase):  # type: ignore[misc]
    """Answers what no other grant does.

    Repair: without a default the library fails with AttributeError on ``None`` (500).
    """

    def create_token_response(self, request: Any, token_handler: Any) -> Any:  # noqa: ARG002
        """No grant type is ``invalid_request``, another one ``unsupported_grant_type``."""
        error = (
            errors.UnsupportedGrantTypeError(request=request)
            if request.grant_type
            else errors.InvalidRequestError("Missing grant_type parameter.", request=request)
        )
        return {}, error.json, error.status_code


class ClientToken(oauth2.BearerToken):  # type: ignore[misc]
    """A bearer token of our form: 256 random bits."""

    def __init__(self, request_validator: Any, expires_in: int) -> None:
        super().__init__(
            request_validator,
            token_generator=lambda _request: ACCESS.new(),
            refresh_token_generator=lambda _request: REFRESH.new(),
            expires_in=expires_in,
        )

    def create_token(self, request: Any, refresh_token: bool = False, **kwargs: Any) -> Any:
        """With a refresh token only for clients that may use one."""
        may_refresh = GrantType.REFRESH_TOKEN in request.client.grant_types
        return super().create_token(request, refresh_token and may_refresh, **kwargs)


ClientCredentialsGrant = oauth2.ClientCredentialsGrant
RefreshTokenGrant = oauth2.RefreshTokenGrant
DeviceGrant = DeviceCodeGrant
