"""``/account/clients``: register API clients, rotate their secrets, disable them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from sqlalchemy import select

from combine_auth.account.context import OwnAccount, account_view
from combine_auth.audit import Action, record_request
from combine_auth.clients.model import CLIENT_ID_PATTERN, OAuthClient
from combine_auth.clients.service import (
    OVERLAP,
    ClientRegistration,
    client_of_id,
    disable_client,
    enable_client,
    list_clients,
    register_client,
    rotate_secret,
)
from combine_auth.refused import Refused
from combine_auth.tokens.scopes import PLAIN, SCOPES, in_words
from combine_core.users import User
from combine_core.web.forms import text_of

if TYPE_CHECKING:
    from pyramid.config import Configurator

logger = logging.getLogger(__name__)

_PAGE = "combine_auth:clients/clients.jinja2"


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
            "registration": ClientRegistration("", scopes=PLAIN),
            **more,
        }

    def create(self) -> dict[str, Any]:
        """Register a client and show its secret, this once."""
        post = self.request.POST
        registration = ClientRegistration(
            name=text_of(self.request, "name"),
            redirect_uris=text_of(self.request, "redirect_uris").split(),
            device=bool(text_of(self.request, "device")),
            service=bool(text_of(self.request, "service")),
            confidential=text_of(self.request, "kind") != "public",
            scopes=[scope for scope in post.getall("scope") if isinstance(scope, str)],
        )
        try:
            client, secret = register_client(self.request.dbsession, self.me.user_id, registration)
        except Refused as refused:
            self.request.response.status_int = 400
            return self._page(refused=str(refused), registration=registration)
        self._note(Action.CLIENT_CREATE, client, name=client.name, scopes=client.scopes)
        return self._page(made=client, secret=secret)

    def rotate(self) -> dict[str, Any]:
        """A new secret, shown this once; the old one works on for a day."""
        client = self._client()
        try:
            secret = rotate_secret(self.request.dbsession, client)
        except Refused as refused:
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
    """Add the endpoints."""
    config.add_endpoint(
        "auth.clients",
        "/account/clients",
        account_view("GET", ClientViews, "show", _PAGE),
        account_view("POST", ClientViews, "create", _PAGE),
        factory=OwnAccount,
    )
    for action in ("rotate", "disable", "enable"):
        config.add_endpoint(
            f"auth.{action}_client",
            f"/account/clients/{{client_id}}/{action}",
            account_view("POST", ClientViews, action, _PAGE),
            factory=OwnAccount,
            variables={"client_id": CLIENT_ID_PATTERN},
        )
