"""Signing in and out: with a provider of OpenID Connect, by an invitation, as local developer.

:mod:`~combine_auth.sign_in.leave` sends the browser to the provider,
:mod:`~combine_auth.sign_in.come_back` receives it, :mod:`~combine_auth.sign_in.attempts` remembers
meanwhile that it left, and :mod:`~combine_auth.sign_in.failed` says what went wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_auth.failures import SignInFailure
from combine_core.settings import CoreSettings

if TYPE_CHECKING:
    from pyramid.config import Configurator

_SIGN_IN = "combine_auth:sign_in/sign_in.jinja2"
_INVITATION = "combine_auth:sign_in/invitation.jinja2"
_FAILED = "combine_auth:sign_in/failed.jinja2"
_NAME = "{provider:[a-z][a-z0-9_]{0,30}}"


def includeme(config: Configurator) -> None:
    """Add the routes and their views."""
    # Not at the top: alembic and the commands import this package for its tables.
    from combine_auth.openid import identity_providers
    from combine_auth.sign_in import parts

    parts.set_up(config.registry, config.add_addon_settings(CoreSettings))
    config.add_exception_view(".failed.refuse", context=SignInFailure)
    providers = identity_providers(config.registry)
    names = "|".join([*providers.clients, *providers.hidden]) or "google"
    for route, path, view, page in (
        ("auth.local", "/auth/local", ".views.local", _SIGN_IN),
        ("auth.sign_out", "/auth/sign-out", ".views.sign_out", None),
        ("auth.start", f"/auth/{_NAME}/start", ".leave.start", None),
    ):
        config.add_route(route, path)
        config.add_view(view, route_name=route, request_method="POST", renderer=page, http_cache=0)
        # Whatever other method: a link or an image must never sign anybody in or out.
        config.add_view("combine_auth.forms.post_only", route_name=route, require_csrf=False)
    for route, path, view, page in (
        ("auth.sign_in", "/auth/sign-in", ".views.sign_in", _SIGN_IN),
        ("auth.error", "/auth/error", ".failed.show", _FAILED),
        ("auth.invitation", "/auth/invitation", ".views.invitation", _INVITATION),
        ("auth.callback", f"/auth/{_NAME}/callback", ".come_back.callback", None),
        # The last, so that a provider of any name hides none of the others.
        ("auth.provider", f"/auth/{{provider:{names}}}", ".views.provider_page", None),
    ):
        config.add_route(route, path)
        config.add_view(view, route_name=route, request_method="GET", renderer=page, http_cache=0)
        config.add_view(".views.get_only", route_name=route, require_csrf=False)
