"""``/account/clients``: register API clients, rotate their secrets, disable them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from sqlalchemy import select

from combine_auth.account.own import LOOK_AFTER, OwnAccount
from combine_auth.audit import Action, record_request
from combine_auth.clients.model import OAuthClient
from combine_auth.clients.redirect import BadRedirectURI
from combine_auth.clients.service import (
    OVERLAP,
    ClientRefused,
    Wishes,
    client_of_id,
    disable_client,
    enable_client,
    list_clients,
    register_client,
    rotate_secret,
)
from combine_auth.forms import post_only, text_of
from combine_auth.tokens.scopes import PLAIN, SCOPES, UnknownScope, in_words
from combine_core.users import User

if TYPE_CHECKING:
    from pyramid.config import Configurator

logger = logging.getLogger(__name__)

_PAGE = "combine_auth:clients/clients.jinja2"
_ID = "{client_id:[A-Za-z0-9_-]{1,64}}"


class ClientViews:
    """The page and its forms. Everybody sees their own clients; administrators see all."""

    def __init__(self, context: OwnAccount, request: Any) -> None:
        self.request = request
        self.me = context.identity

    def show(self) -> dict[str, Any]:
        """The page."""
        return self._page()

    def _page(self, **more: Any) -> dict[str, Any]:
        session = self.request.dbsession
        clients = list_clients(session, None if self.me.is_admin else self.me.user_id)
        users = select(User).where(User.id.in_({client.owner_id for client in clients}))
        service_users = select(User).where(
            User.id.in_({client.service_user_id for client in clients})
        )
        return {
            "clients": clients,
            "owners": {user.id: user.email for user in session.scalars(users)},
            "service_users": {user.id: user.email for user in session.scalars(service_users)},
            "scopes": [
                (scope, in_words(scope)) for scope in (SCOPES if self.me.is_admin else PLAIN)
            ],
            "now": datetime.now(UTC),
            "overlap_hours": int(OVERLAP.total_seconds() // 3600),
            "made": None,
            "secret": None,
            "refused": None,
            "wishes": Wishes("", scopes=PLAIN),
            **more,
        }

    def create(self) -> dict[str, Any]:
        """Register a client and show its secret, this once."""
        post = self.request.POST
        wishes = Wishes(
            name=text_of(self.request, "name"),
            redirect_uris=text_of(self.request, "redirect_uris").split(),
            device=bool(text_of(self.request, "device")),
            service=bool(text_of(self.request, "service")),
            confidential=text_of(self.request, "kind") != "public",
            scopes=[scope for scope in post.getall("scope") if isinstance(scope, str)],
        )
        try:
            client, secret = register_client(self.request.dbsession, self.me.user_id, wishes)
        except (ClientRefused, BadRedirectURI, UnknownScope) as refused:
            self.request.response.status_int = 400
            return self._page(refused=str(refused), wishes=wishes)
        self._note(Action.CLIENT_CREATE, client, name=client.name, scopes=client.scopes)
        return self._page(made=client, secret=secret)

    def rotate(self) -> dict[str, Any]:
        """A new secret, shown this once; the old one works on for a day."""
        client = self._client()
        try:
            secret = rotate_secret(self.request.dbsession, client)
        except ClientRefused as refused:
            self.request.response.status_int = 400
            return self._page(refused=str(refused))
        self._note(Action.CLIENT_CHANGE, client, change="rotate")
        self.request.dbsession.refresh(client)
        return self._page(made=client, secret=secret)

    def disable(self) -> Any:
        """No tokens from now on."""
        client = self._client()
        disable_client(self.request.dbsession, client)
        self._note(Action.CLIENT_DISABLE, client)
        return self._back()

    def enable(self) -> Any:
        """Tokens again."""
        client = self._client()
        enable_client(self.request.dbsession, client)
        self._note(Action.CLIENT_CHANGE, client, change="enable")
        return self._back()

    def _client(self) -> OAuthClient:
        client = client_of_id(self.request.dbsession, self.request.matchdict["client_id"])
        if client is None or not (self.me.is_admin or client.owner_id == self.me.user_id):
            raise HTTPNotFound
        return client

    def _note(self, action: Action, client: OAuthClient, **details: Any) -> None:
        record_request(self.request, action, target=f"client:{client.client_id}", **details)
        logger.info("%s: %s %s", self.me.email, action, client.client_id)

    def _back(self) -> Any:
        return HTTPSeeOther(location=self.request.route_path("auth.clients"))


def includeme(config: Configurator) -> None:
    """Add the routes and their views."""
    routes = (
        ("auth.clients", "/account/clients", (("GET", "show"), ("POST", "create"))),
        ("auth.rotate_client", f"/account/clients/{_ID}/rotate", (("POST", "rotate"),)),
        ("auth.disable_client", f"/account/clients/{_ID}/disable", (("POST", "disable"),)),
        ("auth.enable_client", f"/account/clients/{_ID}/enable", (("POST", "enable"),)),
    )
    for route, path, views in routes:
        config.add_route(route, path, factory=OwnAccount)
        for method, attr in views:
            config.add_view(
                ClientViews,
                attr=attr,
                route_name=route,
                request_method=method,
                permission=LOOK_AFTER,
                renderer=_PAGE,
                http_cache=0,
            )
        if views[0][0] == "POST":
            config.add_view(post_only, route_name=route, require_csrf=False)
