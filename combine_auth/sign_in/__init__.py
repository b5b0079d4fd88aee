"""Signing in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_auth.sign_in import views

if TYPE_CHECKING:
    from pyramid.config import Configurator

_PAGE = "combine_auth:sign_in/sign_in.jinja2"


def includeme(config: Configurator) -> None:
    """Add the routes and their views."""
    config.add_route("auth.sign_in", "/auth/sign-in")
    config.add_view(
        views.sign_in, route_name="auth.sign_in", request_method="GET", renderer=_PAGE, http_cache=0
    )
    config.add_route("auth.local", "/auth/local")
    config.add_view(
        views.local, route_name="auth.local", request_method="POST", renderer=_PAGE, http_cache=0
    )
    config.add_route("auth.sign_out", "/auth/sign-out")
    config.add_view(views.sign_out, route_name="auth.sign_out", request_method="POST", http_cache=0)
    # Whatever other method: a link or an image must never sign anybody in or out.
    for route in ("auth.local", "auth.sign_out"):
        config.add_view(views.post_only, route_name=route, require_csrf=False)
