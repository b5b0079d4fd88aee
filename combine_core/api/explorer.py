"""Serves the API explorer at ``/docs``: Swagger UI, without resources of other sites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.csrf import LegacySessionCSRFStoragePolicy, get_csrf_token
from pyramid.interfaces import ICSRFStoragePolicy, ISessionFactory
from pyramid.request import Request
from pyramid.response import FileResponse, Response
from pyramid.security import NO_PERMISSION_REQUIRED
from swagger_ui_bundle import swagger_ui_path

from combine_core.web.endpoints import View, or_not_found

# Swagger UI sets styles on its elements, and draws with data: images.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_STATIC = Path(__file__).with_name("static")
_BUNDLE = Path(str(swagger_ui_path))
_MAX_AGE_S = 86_400
_CLIENT = "combine_core.api.explorer_client"

# Only these files: the HTML page of the wheel opens the API of another service.
ASSETS = {
    "explorer.js": _STATIC / "explorer.js",
    "explorer.css": _STATIC / "explorer.css",
    "oauth2-redirect.html": _STATIC / "oauth2-redirect.html",
    "oauth2-redirect.js": _STATIC / "oauth2-redirect.js",
    "swagger-ui.css": _BUNDLE / "swagger-ui.css",
    "swagger-ui-bundle.js": _BUNDLE / "swagger-ui-bundle.js",
}


def show_explorer(request: Request) -> dict[str, Any]:
    request.response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return {
        "identity": None,
        "description": request.route_path("api.specification"),
        "csrf_token": _csrf_token(request),
        "oauth_client": request.registry.get(_CLIENT, ""),
    }


def set_explorer_client(config: Configurator, client_id: str) -> None:
    """Let the explorer sign in by OAuth with PKCE as this public client (a directive).

    The redirect URI of the client is ``/docs/oauth2-redirect.html``. The OpenAPI document must contain a
    security scheme of the type ``oauth2`` with the OAuth endpoints.
    """
    config.registry[_CLIENT] = client_id


def _csrf_token(request: Request) -> str:
    """Return the CSRF token of this browser, or "" if the application has none."""
    registry = request.registry
    policy = registry.queryUtility(ICSRFStoragePolicy)
    # Pyramid's default policy needs sessions.
    if isinstance(policy, LegacySessionCSRFStoragePolicy) and not registry.queryUtility(
        ISessionFactory
    ):
        return ""
    return str(get_csrf_token(request))


def send_asset(request: Request) -> Response:
    path = or_not_found(ASSETS.get(request.matchdict["asset"]))
    return FileResponse(str(path), request=request, cache_max_age=_MAX_AGE_S)


def includeme(config: Configurator) -> None:
    """Add the page, its files and the directive."""
    config.add_directive("set_explorer_client", set_explorer_client)
    config.add_endpoint(
        "docs",
        "/docs",
        View(
            "GET",
            show_explorer,
            NO_PERMISSION_REQUIRED,
            renderer="combine_core:api/explorer.jinja2",
        ),
    )
    config.add_endpoint(
        "docs.asset", "/docs/{asset}", View("GET", send_asset, NO_PERMISSION_REQUIRED)
    )
