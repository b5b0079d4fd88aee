"""The endpoints for clients: token, revocation, introspection, device authorization.

They take a form by POST, look at no cookie and at nothing in the URL, and answer in JSON that no cache
keeps. Who is signed in with the browser that happens to send it plays no part.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oauthlib.oauth2 import IntrospectEndpoint, RevocationEndpoint
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc8628.endpoints import DeviceAuthorizationEndpoint
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_auth.clients import GrantType, OAuthClient
from combine_auth.clients.credentials import Credentials, read_credentials
from combine_auth.limits import check_limit
from combine_auth.oauth_server import devices, lifetimes
from combine_auth.oauth_server.exchange import Exchange, exchange
from combine_auth.oauth_server.library import server_of, validator_of
from combine_auth.oauth_server.wire import (
    HEADERS,
    answer,
    encoded,
    oauth_request,
    plain_error,
    read_form,
)
from combine_auth.tokens.form import DEVICE_CODE
from combine_core.database import session_factory
from combine_core.settings import CoreSettings, settings_of

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.response import Response

logger = logging.getLogger(__name__)

Parameters = dict[str, str]
Answer = tuple[dict[str, str], str, int]


def token(request: Any) -> Response:
    """``/oauth/token`` (RFC 6749, 3.2): tokens for a code, a refresh token, a device, a client."""

    def ask(_made: Exchange, parameters: Parameters) -> Answer:
        server = server_of(request.registry)
        given: Answer = server.create_token_response(oauth_request(request.path_url, parameters))
        return given

    return _answer(request, "token", ask)


def revoke(request: Any) -> Response:
    """``/oauth/revoke`` (RFC 7009). What is unknown, or another client's, is answered like the rest."""

    def ask(_made: Exchange, parameters: Parameters) -> Answer:
        # Repair: pyramid-oauthlib's own does nothing and answers 200.
        endpoint = RevocationEndpoint(validator_of(request.registry))
        given: Answer = endpoint.create_revocation_response(
            request.path_url, "POST", encoded(parameters), HEADERS
        )
        return given

    return _answer(request, "token", ask)


def introspect(request: Any) -> Response:
    """``/oauth/introspect`` (RFC 7662), for clients with a secret and of their own tokens."""

    def ask(made: Exchange, parameters: Parameters) -> Answer:
        # Without a secret anybody could ask in a public client's name.
        if made.credentials is None or made.credentials.secret is None:
            raise errors.InvalidClientError
        endpoint = IntrospectEndpoint(validator_of(request.registry))
        given: Answer = endpoint.create_introspect_response(
            request.path_url, "POST", encoded(parameters), HEADERS
        )
        return given

    return _answer(request, "introspection", ask)


def device(request: Any) -> Response:
    """``/oauth/device`` (RFC 8628, 3.1): codes for a device whose user has a browser elsewhere."""

    def ask(made: Exchange, parameters: Parameters) -> Answer:
        page = settings_of(request.registry, CoreSettings).public_url + request.route_path(
            "auth.device"
        )
        endpoint = _DeviceEndpoint(
            validator_of(request.registry),
            verification_uri=page,
            verification_uri_complete=page + "?user_code={user_code}",
            expires_in=int(lifetimes.DEVICE.total_seconds()),
            interval=lifetimes.POLL_EVERY_S,
            user_code_generator=devices.new_user_code,
        )
        # Repair: the library looks for the client's name in the body alone.
        if made.credentials is not None:
            parameters = {**parameters, "client_id": made.credentials.client_id}
        _, codes, status = endpoint.create_device_authorization_response(
            request.path_url, "POST", encoded(parameters), HEADERS
        )
        # Repair: the library's has 178 random bits.
        codes["device_code"] = DEVICE_CODE.new()
        assert endpoint.client is not None
        devices.save_device(
            made.session,
            endpoint.client,
            device_code=codes["device_code"],
            user_code=codes["user_code"],
            scopes=codes.pop("scope").split(),
            ip=request.remote_addr,
        )
        return {}, json.dumps(codes), status

    return _answer(request, "device", ask)


class _DeviceEndpoint(DeviceAuthorizationEndpoint):  # type: ignore[misc]
    """oauthlib's, which tells nobody which client it has found."""

    client: OAuthClient | None = None

    def validate_device_authorization_request(self, request: Any) -> None:
        # Repair: the library looks whether there is such a client before it authenticates it, and
        # says so.
        if not self.request_validator.authenticate_client(request):
            raise errors.InvalidClientError(request=request)
        super().validate_device_authorization_request(request)
        self.client = request.client
        # Repair: nor does it ask whether the client is registered for this grant.
        if GrantType.DEVICE_CODE not in request.client.grant_types:
            raise errors.UnauthorizedClientError(request=request)


def _answer(request: Any, limit: str, ask: Callable[[Exchange, Parameters], Answer]) -> Response:
    check_limit(request, limit)
    parameters = read_form(request)
    credentials = read_credentials(parameters, request.environ.get("HTTP_AUTHORIZATION", ""))
    # It has been read. What oauthlib does not hold, it cannot log.
    parameters.pop("client_secret", None)
    with (
        session_factory(request.registry)() as session,
        exchange(request, session, credentials) as made,
    ):
        headers, body, status = ask(made, parameters)
        session.commit()
    if status == 401:
        _warn(request, credentials)
    return answer(headers, body, status)


def _warn(request: Any, credentials: Credentials | None) -> None:
    name = "-" if credentials is None else credentials.client_id
    logger.warning("a client failed to authenticate: %.80r at %s", name, request.path)


def post_only(request: Any) -> Response:  # noqa: ARG001
    """Another method than POST."""
    return plain_error("invalid_request", "Send a form by POST.", 405, Allow="POST")


def includeme(config: Configurator) -> None:
    """Add the routes and their views."""
    for name, view in (
        ("token", token),
        ("revoke", revoke),
        ("introspect", introspect),
        ("device", device),
    ):
        route = f"oauth.{name}"
        config.add_route(route, f"/oauth/{name}")
        for method, handler in (("POST", view), (None, post_only)):
            config.add_view(
                handler,
                route_name=route,
                permission=NO_PERMISSION_REQUIRED,
                # Repair: the service's default would refuse every client, none of which has the
                # cookie that goes with the token. And no cookie counts here.
                require_csrf=False,
                **({} if method is None else {"request_method": method}),
            )
