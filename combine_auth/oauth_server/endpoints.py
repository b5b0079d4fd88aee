"""The endpoints for clients: token, revocation, introspection, device authorization and metadata.

Except for the metadata, they accept a form by POST, and return JSON that must not be cached. They ignore
cookies, and therefore the user who is signed in with the browser.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from oauthlib.oauth2 import IntrospectEndpoint, MetadataEndpoint, RevocationEndpoint
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc8628.endpoints import DeviceAuthorizationEndpoint
from pyramid.config import Configurator
from pyramid.csrf import BadCSRFOrigin, BadCSRFToken
from pyramid.httpexceptions import (
    HTTPError,
    HTTPForbidden,
    HTTPNotFound,
    HTTPUnauthorized,
)
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_auth.clients import GrantType, OAuthClient
from combine_auth.clients.authentication import read_credentials
from combine_auth.limits import RateLimited, check_limit
from combine_auth.oauth_server import devices, lifetimes
from combine_auth.oauth_server.context import OAuthContext, oauth_context
from combine_auth.oauth_server.grants import TooManyGrants
from combine_auth.oauth_server.messages import (
    HEADERS,
    UnsupportedProof,
    error_response_of,
    oauth_request,
    oauth_response,
    read_form,
)
from combine_auth.oauth_server.server import server_of, validator_of
from combine_auth.tokens.format import DEVICE_CODE
from combine_auth.tokens.scopes import SCOPES
from combine_core.database import session_factory
from combine_core.settings import CoreSettings, settings_of
from combine_core.web.endpoints import View
from combine_core.web.problems import DATABASE_RETRY_S, database_problem, log_problem

logger = logging.getLogger(__name__)


_METADATA_MAX_AGE_S = 3600
_WITH_SECRET = ["client_secret_basic", "client_secret_post"]

Parameters = dict[str, str]
# Headers, body and status of a response, as oauthlib returns them.
OAuthResult = Any


def token(context: OAuthContext, parameters: Parameters) -> OAuthResult:
    """Issue tokens for a code, a refresh token, a device or a client (RFC 6749, 3.2)."""
    request = context.request
    token_request = oauth_request(request.path_url, parameters)
    return server_of(request.registry).create_token_response(token_request)


def revoke(context: OAuthContext, parameters: Parameters) -> OAuthResult:
    """Revoke a token (RFC 7009). Unknown tokens and those of other clients get the same response."""
    # Repair: pyramid-oauthlib's own endpoint returns 200 without revoking anything.
    endpoint = RevocationEndpoint(validator_of(context.request.registry))
    return endpoint.create_revocation_response(
        context.request.path_url, "POST", urlencode(parameters), HEADERS
    )


def introspect(context: OAuthContext, parameters: Parameters) -> OAuthResult:
    """Describe a token to its own client, which must have a secret (RFC 7662)."""
    # Anybody could send the id of a public client.
    if context.credentials is None or context.credentials.secret is None:
        raise errors.InvalidClientError
    endpoint = IntrospectEndpoint(validator_of(context.request.registry))
    return endpoint.create_introspect_response(
        context.request.path_url, "POST", urlencode(parameters), HEADERS
    )


def device(context: OAuthContext, parameters: Parameters) -> OAuthResult:
    """Issue the codes for a device without a browser (RFC 8628, 3.1)."""
    request = context.request
    public_url = settings_of(request.registry, CoreSettings).public_url
    page = public_url + request.route_path("auth.device")
    endpoint = _DeviceEndpoint(
        validator_of(request.registry),
        verification_uri=page,
        verification_uri_complete=page + "?user_code={user_code}",
        expires_in=int(lifetimes.DEVICE.total_seconds()),
        interval=lifetimes.POLL_EVERY_S,
        user_code_generator=devices.new_user_code,
    )
    # Repair: the library looks for the client id only in the body.
    if context.credentials is not None:
        parameters = {**parameters, "client_id": context.credentials.client_id}
    _, codes, status = endpoint.create_device_authorization_response(
        request.path_url, "POST", urlencode(parameters), HEADERS
    )
    # Repair: the library's code has only 178 random bits.
    codes["device_code"] = DEVICE_CODE.new()
    assert endpoint.client is not None
    devices.save_device(
        context.session,
        endpoint.client,
        device_code=codes["device_code"],
        user_code=codes["user_code"],
        scopes=codes.pop("scope").split(),
        ip=request.remote_addr,
    )
    return {}, json.dumps(codes), status


class _DeviceEndpoint(DeviceAuthorizationEndpoint):  # type: ignore[misc]
    """oauthlib's endpoint, which authenticates the client and keeps it for the caller."""

    client: OAuthClient | None = None

    def validate_device_authorization_request(self, request: Any) -> None:
        # Repair: the library checks whether the client exists before it authenticates it, and thus
        # reveals whether it exists.
        if not self.request_validator.authenticate_client(request):
            raise errors.InvalidClientError(request=request)
        super().validate_device_authorization_request(request)
        self.client = request.client
        # Repair: the library does not check whether the client is registered for this grant type.
        if GrantType.DEVICE_CODE not in request.client.grant_types:
            raise errors.UnauthorizedClientError(request=request)


def _view(
    limit: str, handle: Callable[[OAuthContext, Parameters], OAuthResult]
) -> Callable[[Any], Response]:
    """Return the view of an endpoint whose requests count towards this rate limit."""

    def view(request: Any) -> Response:
        check_limit(request, limit)
        if "HTTP_DPOP" in request.environ:
            raise UnsupportedProof
        parameters = read_form(request)
        credentials = read_credentials(parameters, request.environ.get("HTTP_AUTHORIZATION", ""))
        # Already read. Without it, oauthlib cannot log the secret.
        parameters.pop("client_secret", None)
        with (
            session_factory(request.registry)() as session,
            oauth_context(request, session, credentials) as context,
        ):
            headers, body, status = handle(context, parameters)
            session.commit()
        if status == 401:
            name = "-" if credentials is None else credentials.client_id
            logger.warning("a client failed to authenticate: %.80r at %s", name, request.path)
        return oauth_response(headers, body, status)

    return view


def claims(issuer: str) -> dict[str, Any]:
    """Return the metadata (RFC 8414, 2) of the service at this origin."""
    with_or_without = [*_WITH_SECRET, "none"]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "token_endpoint_auth_methods_supported": with_or_without,
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "revocation_endpoint_auth_methods_supported": with_or_without,
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "introspection_endpoint_auth_methods_supported": _WITH_SECRET,
        "device_authorization_endpoint": f"{issuer}/oauth/device",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [str(grant_type) for grant_type in GrantType],
        "code_challenge_methods_supported": ["S256"],
        # RFC 9207, 3.
        "authorization_response_iss_parameter_supported": True,
        "service_documentation": f"{issuer}/docs",
    }


def metadata(request: Any) -> Response:
    issuer = settings_of(request.registry, CoreSettings).public_url
    # Repair: the library rejects http, which a developer's machine uses.
    endpoint = MetadataEndpoint([], claims(issuer), raise_errors=issuer.startswith("https://"))
    headers, body, status = endpoint.create_metadata_response(request.path_url)
    response = Response(body.encode(), status=status, headerlist=list(headers.items()))
    response.cache_control = f"public, max-age={_METADATA_MAX_AGE_S}"
    return response


def oauth_failure(error: Exception, request: Any) -> Response:
    """Return the response to an exception. An unexpected one is logged and becomes a 500."""
    if isinstance(error, errors.OAuth2Error):
        return oauth_response({}, error.json, error.status_code)
    if isinstance(error, RateLimited | TooManyGrants):
        return error_response_of(
            "temporarily_unavailable", str(error), 429, Retry_After=str(error.wait_seconds)
        )
    if isinstance(error, HTTPError):
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        description = error.detail or error.title
        return error_response_of("invalid_request", description, error.status_int, **allow)
    problem = database_problem(error)
    if problem is not None:
        log_problem(problem, error)
        description = f"The service is busy. Try again in {DATABASE_RETRY_S} seconds."
        return error_response_of(
            "temporarily_unavailable", description, 503, Retry_After=str(DATABASE_RETRY_S)
        )
    logger.error("%s failed", request.path, exc_info=error)
    return error_response_of("server_error", "Something went wrong in the service.", 500)


def includeme(config: Configurator) -> None:
    """Add the endpoints, and return their errors as JSON (RFC 6749, 5.2) instead of a page."""
    endpoints = {
        "token": _view("token", token),
        "revoke": _view("token", revoke),
        "introspect": _view("introspection", introspect),
        "device": _view("device", device),
    }
    for name, view in endpoints.items():
        # Repair: the service's default would reject every client, because clients have no CSRF cookie.
        # The endpoints ignore cookies, so they need no CSRF token.
        post = View("POST", view, NO_PERMISSION_REQUIRED, require_csrf=False)
        config.add_endpoint(f"oauth.{name}", f"/oauth/{name}", post)
    config.add_endpoint(
        "oauth.metadata",
        "/.well-known/oauth-authorization-server",
        View("GET", metadata, NO_PERMISSION_REQUIRED),
    )
    # Not all of /oauth/, because it also contains pages.
    paths = rf"^/oauth/({'|'.join(endpoints)})$"
    # Pyramid would prefer the pages' views for these classes to the one for Exception.
    for context in (
        Exception,
        HTTPError,
        HTTPForbidden,
        HTTPNotFound,
        HTTPUnauthorized,
        BadCSRFOrigin,
        BadCSRFToken,
        RateLimited,
    ):
        config.add_exception_view(oauth_failure, context=context, path_info=paths)
