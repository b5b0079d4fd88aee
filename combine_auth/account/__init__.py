"""The page on which people see who they are, and look after their tokens and sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_auth.account.own import LOOK_AFTER, OwnAccount
from combine_auth.account.views import AccountViews, post_only

if TYPE_CHECKING:
    from pyramid.config import Configurator

_PAGE = "combine_auth:account/account.jinja2"
_ID = "{id:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}}"


def includeme(config: Configurator) -> None:
    """Add the routes, their views, and the link in the head of the pages."""
    config.add_route("auth.account", "/account", factory=OwnAccount)
    config.add_view(
        AccountViews,
        attr="show",
        route_name="auth.account",
        request_method="GET",
        permission=LOOK_AFTER,
        renderer=_PAGE,
        http_cache=0,
    )
    for route, pattern, attr, renderer in (
        ("auth.end_session", f"/account/sessions/{_ID}/end", "end_session", None),
    ):
        config.add_route(route, pattern, factory=OwnAccount)
        config.add_view(
            AccountViews,
            attr=attr,
            route_name=route,
            request_method="POST",
            permission=LOOK_AFTER,
            renderer=renderer,
            http_cache=0,
        )
        # Whatever other method: these change something, so a link must not reach them.
        config.add_view(post_only, route_name=route, require_csrf=False)
    # An application without the pages of combine_core has a head of its own.
    if hasattr(config, "add_nav_item"):
        config.add_nav_item("Account", "auth.account", order=90)
