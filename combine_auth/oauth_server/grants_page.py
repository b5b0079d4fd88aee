"""``/account/grants``: what somebody granted to programs, and how to take it back."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther

from combine_auth.account.own import LOOK_AFTER, OwnAccount
from combine_auth.audit import Action, record_request
from combine_auth.forms import post_only
from combine_auth.oauth_server.grants import list_grants, revoke_grant
from combine_auth.tokens.scopes import in_words

if TYPE_CHECKING:
    from pyramid.config import Configurator

logger = logging.getLogger(__name__)

_PAGE = "combine_auth:oauth_server/grants.jinja2"
_ID = "{id:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}}"


class GrantViews:
    """The page and its buttons."""

    def __init__(self, context: OwnAccount, request: Any) -> None:
        self.request = request
        self.me = context.identity

    def show(self) -> dict[str, Any]:
        """The page."""
        return {
            "grants": list_grants(self.request.dbsession, self.me.user_id),
            "in_words": in_words,
        }

    def revoke(self) -> Any:
        """Take one back."""
        grant_id = uuid.UUID(self.request.matchdict["id"])
        if not revoke_grant(self.request.dbsession, grant_id, self.me.user_id):
            raise HTTPNotFound
        record_request(self.request, Action.CONSENT_REVOKE, target=f"grant:{grant_id}")
        logger.info("%s revoked grant %s", self.me.email, grant_id)
        return HTTPSeeOther(location=self.request.route_path("auth.grants"))


def includeme(config: Configurator) -> None:
    """Add the routes and their views."""
    config.add_route("auth.grants", "/account/grants", factory=OwnAccount)
    config.add_route("auth.revoke_grant", f"/account/grants/{_ID}/revoke", factory=OwnAccount)
    for route, method, attr, renderer in (
        ("auth.grants", "GET", "show", _PAGE),
        ("auth.revoke_grant", "POST", "revoke", None),
    ):
        config.add_view(
            GrantViews,
            attr=attr,
            route_name=route,
            request_method=method,
            permission=LOOK_AFTER,
            renderer=renderer,
            http_cache=0,
        )
    config.add_view(post_only, route_name="auth.revoke_grant", require_csrf=False)
