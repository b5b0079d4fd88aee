"""The endpoints for clients: token, revocation, introspection, device authorization, metadata.

They take a form by POST, ignore cookies and the query, and answer with JSON that must not be cached. A
user who is signed in with the browser that sends the request does not matter.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

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
    encoded,
    error_response,
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
# Headers, body and status of an answer, as oauthlib returns them.
OAuthAnswer = Any


def token(context: OAuthContext, parameters: Parameters) -> OAuthAnswer:
    """``/oauth/token`` (RFC 6749, 3.2): tokens for a code, a refresh token, a device, a client."""
    request = context.request
    asked = oauth_request(request.path_url, parameters)
    return server_of(request.registry).create_token_response(asked)


def revoke(context: OAuthContext, parameters: Parameters) -> OAuthAnswer:
    """``/oauth/revoke`` (RFC 7009). Unknown tokens, and those of other clients, get the same answer."""
    # Repair: pyramid-oauthlib's own does nothing and answers 200.
    endpoint = RevocationEndpoint(validator_of(context.request.registry))
    return endpoint.create_revocation_response(
        context.request.path_url, "POST", encoded(parameters), HEADERS
    )


def introspect(context: OAuthContext, parameters: Parameters) -> OAuthAnswer:
    """``/oauth/introspect`` (RFC 7662), for clients with a secret, about their own tokens."""
    # Anybody could send the id of a public client.
    if context.credentials is None or context.credentials.secret is None:
        raise errors.InvalidClientError
    endpoint = IntrospectEndpoint(validator_of(context.request.registry))
    return endpoint.create_introspect_response(
        context.request.path_url, "POST", encoded(parameters), HEADERS
    )


def device(context: OAuthContext, parameters: Parameters) -> OAuthAnswer:
    """``/oauth/device`` (RFC 8628, 3.1): codes for a device whose user has a browser elsewhere."""
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
        request.path_url, "POST", encoded(parameters), HEADERS
    )
    # Repair: the code of the library has only 178 random bits.
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
    """oauthlib's endpoint, with the client that it has authenticated."""

    client: OAuthClient | None = None

    def validate_device_authorization_request(self, request: Any) -> None:
        # Repair: the library checks whether the client exists before it authenticates it, which
        # reveals that.
        if not self.request_validator.authenticate_client(request):
            raise errors.InvalidClientError(request=request)
        super().validate_device_authorization_request(request)
        self.client = request.client
        # Repair: it does not check whether the client is registered for this grant.
        if GrantType.DEVICE_CODE not in request.client.grant_types:
            raise errors.UnauthorizedClientError(request=request)


def _view(
    limit: str, ask: Callable[[OAuthContext, Parameters], OAuthAnswer]
) -> Callable[[Any], Response]:
    """The view of an endpoint, whose requests count for this rate limit."""

    def answer(request: Any) -> Response:
        check_limit(request, limit)
        if "HTTP_DPOP" in request.environ:
            raise UnsupportedProof
        parameters = read_form(request)
        credentials = read_credentials(parameters, request.environ.get("HTTP_AUTHORIZATION", ""))
        # It has been read already. oauthlib cannot log what it does not get.
        parameters.pop("client_secret", None)
        with (
            session_factory(request.registry)() as session,
            oauth_context(request, session, credentials) as context,
        ):
            headers, body, status = ask(context, parameters)
            session.commit()
        if status == 401:
            name = "-" if credentials is None else credentials.client_id
            logger.warning("a client failed to authenticate: %.80r at %s", name, request.path)
        return oauth_response(headers, body, status)

    return answer


def claims(issuer: str) -> dict[str, Any]:
    """The document (RFC 8414, 2) of the service at this origin."""
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
    # Repair: the library refuses http, which a developer's own machine uses.
    endpoint = MetadataEndpoint([], claims(issuer), raise_errors=issuer.startswith("https://"))
    headers, body, status = endpoint.create_metadata_response(request.path_url)
    response = Response(body.encode(), status=status, headerlist=list(headers.items()))
    response.cache_control = f"public, max-age={_METADATA_MAX_AGE_S}"
    return response


def oauth_failure(error: Exception, request: Any) -> Response:
    """The response to any exception. An unexpected one is logged, and becomes 500."""
    if isinstance(error, errors.OAuth2Error):
        return error_response(error)
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
    """Add the endpoints, and answer their errors as RFC 6749 says, not with a page."""
    endpoints = {
        "token": _view("token", token),
        "revoke": _view("token", revoke),
        "introspect": _view("introspection", introspect),
        "device": _view("device", device),
    }
    for name, view in endpoints.items():
        # Repair: the default of the service would refuse every client, because none has the cookie
        # that belongs to the CSRF token. Cookies do not count here.
        post = View("POST", view, NO_PERMISSION_REQUIRED, require_csrf=False)
        config.add_endpoint(f"oauth.{name}", f"/oauth/{name}", post)
    config.add_endpoint(
        "oauth.metadata",
        "/.well-known/oauth-authorization-server",
        View("GET", metadata, NO_PERMISSION_REQUIRED),
    )
    # Below /oauth/ there are pages as well.
    paths = rf"^/oauth/({'|'.join(endpoints)})$"
    # A view of the pages for one of these classes would be preferred to ours for Exception.
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
