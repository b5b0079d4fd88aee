"""The page on which people see who they are, how they sign in, and where they are signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_auth.account.identities import IdentityViews
from combine_auth.account.own import LOOK_AFTER, OwnAccount
from combine_auth.account.views import AccountViews
from combine_auth.forms import post_only

if TYPE_CHECKING:
    from pyramid.config import Configurator

_PAGE = "combine_auth:account/account.jinja2"
_ADD = "combine_auth:account/add_identity.jinja2"
_ID = "{id:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}}"


def includeme(config: Configurator) -> None:
    """Add the routes, their views, and the link in the head of the pages."""
    for route, path, views, attr, page in (
        ("auth.account", "/account", AccountViews, "show", _PAGE),
        ("auth.add_identity", "/account/identities/add", IdentityViews, "add", _ADD),
    ):
        config.add_route(route, path, factory=OwnAccount)
        config.add_view(
            views,
            attr=attr,
            route_name=route,
            request_method="GET",
            permission=LOOK_AFTER,
            renderer=page,
            http_cache=0,
        )
    for route, path, views, attr in (
        ("auth.remove_identity", f"/account/identities/{_ID}/remove", IdentityViews, "remove"),
        ("auth.end_session", f"/account/sessions/{_ID}/end", AccountViews, "end_session"),
        ("auth.end_others", "/account/sign-out-others", AccountViews, "end_others"),
        ("auth.end_all", "/account/sign-out-everywhere", AccountViews, "end_all"),
    ):
        config.add_route(route, path, factory=OwnAccount)
        config.add_view(
            views,
            attr=attr,
            route_name=route,
            request_method="POST",
            permission=LOOK_AFTER,
            http_cache=0,
        )
        # Whatever other method: these change something, so a link must not reach them.
        config.add_view(post_only, route_name=route, require_csrf=False)
    # An application without the pages of combine_core has a head of its own.
    if hasattr(config, "add_nav_item"):
        config.add_nav_item("Account", "auth.account", order=90)
