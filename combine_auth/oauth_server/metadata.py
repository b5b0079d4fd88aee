"""What clients can learn of the service by itself: ``/.well-known/oauth-authorization-server``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oauthlib.oauth2 import MetadataEndpoint
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_auth.clients import GrantType
from combine_auth.tokens.scopes import SCOPES
from combine_core.settings import CoreSettings, settings_of

if TYPE_CHECKING:
    from pyramid.config import Configurator

_MAX_AGE_S = 3600
_WITH_SECRET = ["client_secret_basic", "client_secret_post"]


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
    """The document."""
    issuer = settings_of(request.registry, CoreSettings).public_url
    # Repair: the library refuses an issuer on http, which a developer's own machine is.
    endpoint = MetadataEndpoint([], claims(issuer), raise_errors=issuer.startswith("https://"))
    headers, body, status = endpoint.create_metadata_response(request.path_url)
    response = Response(body.encode(), status=status, headerlist=list(headers.items()))
    response.cache_control = f"public, max-age={_MAX_AGE_S}"
    return response


def includeme(config: Configurator) -> None:
    """Add the route and its view."""
    config.add_route("oauth.metadata", "/.well-known/oauth-authorization-server")
    config.add_view(
        metadata,
        route_name="oauth.metadata",
        request_method="GET",
        permission=NO_PERMISSION_REQUIRED,
    )
