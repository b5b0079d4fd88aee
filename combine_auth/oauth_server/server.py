"""Configures pyramid-oauthlib 1.0 and oauthlib 4, with corrected grants and tokens.

The directives and the server object of pyramid-oauthlib are used unchanged. Its ``includeme`` is not used,
because it also adds the request attributes that :mod:`combine_auth.oauth_server.messages` describes.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import pyramid_oauthlib
from oauthlib import oauth2
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.grant_types.authorization_code import code_challenge_method_s256
from oauthlib.oauth2.rfc6749.grant_types.base import GrantTypeBase
from oauthlib.oauth2.rfc8628.grant_types import DeviceCodeGrant
from pyramid.config import Configurator
from pyramid.registry import Registry

from combine_auth.clients import GrantType
from combine_auth.oauth_server import lifetimes
from combine_auth.oauth_server.messages import UnsupportedProof
from combine_auth.oauth_server.validator import Validator
from combine_auth.tokens.format import ACCESS, CODE, REFRESH
from combine_core.settings import CoreSettings

# 43 characters: SHA-256 in base64url.
_CHALLENGE = re.compile("[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile("[A-Za-z0-9._~-]{43,128}")
# The URL of the sign-in page contains the whole request, to return to it.
_MAX_STATE = 500


class CodeGrant(oauth2.AuthorizationCodeGrant):  # type: ignore[misc]
    """The authorization code grant, with PKCE by S256 (RFC 7636)."""

    # Repair: the library also accepts "plain", and uses it as the default.
    _code_challenge_methods = {"S256": code_challenge_method_s256}  # noqa: RUF012 - the library's own

    def __init__(self, request_validator: Any, issuer: str) -> None:
        super().__init__(request_validator)
        self._issuer = issuer
        self.custom_validators.pre_auth.append(_check_authorization)

    def create_authorization_code(self, request: Any) -> dict[str, str]:
        """Create a code in Combine's format, with the issuer (RFC 9207)."""
        parameters = {"code": CODE.new(), "iss": self._issuer}
        if request.state:
            parameters["state"] = request.state
        return parameters

    def validate_token_request(self, request: Any) -> None:
        """Validate like the library, but raise ``invalid_grant`` for a mismatch with the code."""
        try:
            super().validate_token_request(request)
        except (errors.MismatchingRedirectURIError, errors.MissingCodeVerifierError) as error:
            # Repair: the library raises invalid_request (RFC 6749, 5.2; RFC 7636, 4.6).
            raise errors.InvalidGrantError(error.description, request=request) from error

    def validate_code_challenge(self, challenge: str, challenge_method: str, verifier: str) -> bool:
        """Check that the verifier is well-formed and matches the challenge."""
        if not _VERIFIER.fullmatch(verifier):
            return False
        matches: bool = super().validate_code_challenge(challenge, challenge_method, verifier)
        return matches


def _check_authorization(request: Any) -> dict[str, Any]:
    # Repair: the library only checks whether the text contains "code".
    if request.response_type is None:
        raise errors.MissingResponseTypeError(request=request)
    if request.response_type != "code":
        raise errors.UnsupportedResponseTypeError(request=request)
    # Repair: the library would return the code in the fragment on request.
    if request.response_mode not in (None, "query"):
        raise errors.InvalidRequestError("response_mode can only be query.", request=request)
    # Repair: oauthlib 4 accepts any text as a challenge, and raises TypeError (500) at the token
    # endpoint if it is not ASCII.
    if request.code_challenge is not None and not _CHALLENGE.fullmatch(request.code_challenge):
        description = "code_challenge is not a SHA-256 in base64url: 43 characters."
        raise errors.InvalidRequestError(description, request=request)
    if getattr(request, "dpop_jkt", None) is not None:
        raise UnsupportedProof(request=request)
    if len(request.state or "") > _MAX_STATE:
        description = f"state has more than {_MAX_STATE} characters."
        raise errors.InvalidRequestError(description, request=request)
    return {}


class UnknownGrant(GrantTypeBase):  # type: ignore[misc]
    """The response to an unknown grant type. Repair: the library raises AttributeError (500) without it."""

    def create_token_response(self, request: Any, token_handler: Any) -> Any:  # noqa: ARG002
        """Return ``invalid_request`` for a missing grant type, otherwise ``unsupported_grant_type``."""
        error = (
            errors.UnsupportedGrantTypeError(request=request)
            if request.grant_type
            else errors.InvalidRequestError("Missing grant_type parameter.", request=request)
        )
        return {}, error.json, error.status_code


class ClientToken(oauth2.BearerToken):  # type: ignore[misc]
    """A bearer token in Combine's format, with 256 random bits."""

    def __init__(self, request_validator: Any, expires_in: int) -> None:
        super().__init__(
            request_validator,
            token_generator=lambda _request: ACCESS.new(),
            refresh_token_generator=lambda _request: REFRESH.new(),
            expires_in=expires_in,
        )

    def create_token(self, request: Any, refresh_token: bool = False, **kwargs: Any) -> Any:
        """Create a token, with a refresh token only for clients that may use one."""
        may_refresh = GrantType.REFRESH_TOKEN in request.client.grant_types
        return super().create_token(request, refresh_token and may_refresh, **kwargs)


_VALIDATOR = "combine_auth.oauth_validator"


def includeme(config: Configurator) -> None:
    """Add the directives of pyramid-oauthlib, and register the grant types and the token type."""
    # Repair: not config.include("pyramid_oauthlib"), which adds form fields as attributes to every
    # request, such as request.user, and reserves these names.
    config.registry.oauth = pyramid_oauthlib.Server()
    config.add_directive("add_grant_type", pyramid_oauthlib.add_grant_type)
    config.add_directive("add_response_type", pyramid_oauthlib.add_response_type)
    config.add_directive("add_token_type", pyramid_oauthlib.add_token_type)
    # Repair: oauthlib logs codes and refresh tokens at DEBUG.
    logging.getLogger("oauthlib").setLevel(logging.INFO)

    issuer = config.add_addon_settings(CoreSettings).public_url
    validator = Validator()
    config.registry[_VALIDATOR] = validator
    code = {"request_validator": validator, "issuer": issuer}
    config.add_response_type(CodeGrant, "code", **code)
    # Repair: for missing and unknown response types, which would fail on None.
    config.add_response_type(CodeGrant, "", **code)
    config.add_grant_type(CodeGrant, str(GrantType.AUTHORIZATION_CODE), **code)
    for grant_type, grant in (
        (GrantType.REFRESH_TOKEN, oauth2.RefreshTokenGrant),
        (GrantType.CLIENT_CREDENTIALS, oauth2.ClientCredentialsGrant),
        (GrantType.DEVICE_CODE, DeviceCodeGrant),
        # Repair: the same for grant types.
        ("", UnknownGrant),
    ):
        config.add_grant_type(grant, str(grant_type), request_validator=validator)
    config.add_token_type(
        ClientToken,
        "",
        request_validator=validator,
        expires_in=int(lifetimes.ACCESS.total_seconds()),
    )


def server_of(registry: Registry) -> pyramid_oauthlib.Server:
    return registry.oauth


def validator_of(registry: Registry) -> Validator:
    validator: Validator = registry[_VALIDATOR]
    return validator
