"""The page ``/account/clients``, which registers and manages API clients."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from sqlalchemy import select

from combine_auth.account import AccountViews, account_view, add_account_page
from combine_auth.audit import Action
from combine_auth.clients.model import OAuthClient
from combine_auth.clients.service import (
    OVERLAP,
    ClientRegistration,
    change_client,
    client_of_id,
    delete_client,
    disable_client,
    enable_client,
    list_clients,
    register_client,
    rotate_secret,
)
from combine_auth.failures import Refused
from combine_auth.tokens.scopes import PLAIN
from combine_core.users import User
from combine_core.web.forms import text_of
from combine_core.web.shown_once import take_for_page

_PAGE = "combine_auth:clients/clients.jinja2"


class ClientViews(AccountViews):
    """The page of API clients. Users see their own clients; administrators see all."""

    route = "auth.clients"

    def show(self, **more: Any) -> dict[str, Any]:
        shown = take_for_page(self.request)
        clients = list_clients(self.dbsession, None if self.me.is_admin else self.me.user_id)
        ids = {one for client in clients for one in (client.owner_id, client.service_user_id)}
        users = self.dbsession.scalars(select(User).where(User.id.in_(ids)))
        return {
            "clients": clients,
            "addresses": {user.id: user.email for user in users},
            "scopes": self.offered_scopes(),
            "now": datetime.now(UTC),
            "overlap_hours": int(OVERLAP.total_seconds() // 3600),
            "created": shown and client_of_id(self.dbsession, shown["client_id"]),
            "secret": shown.get("secret"),
            "refused": None,
            "registration": ClientRegistration("", scopes=PLAIN),
            **more,
        }

    def create(self) -> dict[str, Any] | HTTPSeeOther:
        """Register a client; the page shows its secret once."""
        registration = ClientRegistration(
            name=text_of(self.request, "name"),
            redirect_uris=text_of(self.request, "redirect_uris").split(),
            device=bool(text_of(self.request, "device")),
            service=bool(text_of(self.request, "service")),
            confidential=text_of(self.request, "kind") != "public",
            scopes=self.checked_scopes(),
        )
        try:
            client, secret = register_client(self.dbsession, self.me.user_id, registration)
        except Refused as refused:
            self.request.response.status_int = 400
            return self.show(refused=str(refused), registration=registration)
        self._record(Action.CLIENT_CREATE, client, name=client.name, scopes=client.scopes)
        return self._redirect_with_secret(client, secret)

    def rotate(self) -> dict[str, Any] | HTTPSeeOther:
        """Create a new secret, which the page shows once. The old one stays valid for a day."""
        client = self._client()
        try:
            secret = rotate_secret(self.dbsession, client)
        except Refused as refused:
            self.request.response.status_int = 400
            return self.show(refused=str(refused))
        self._record(Action.CLIENT_CHANGE, client, change="rotate")
        return self._redirect_with_secret(client, secret)

    def disable(self) -> HTTPSeeOther:
        client = self._client()
        disable_client(self.dbsession, client)
        self._record(Action.CLIENT_DISABLE, client)
        return self.redirect()

    def enable(self) -> HTTPSeeOther:
        client = self._client()
        enable_client(self.dbsession, client)
        self._record(Action.CLIENT_CHANGE, client, change="enable")
        return self.redirect()

    def change(self) -> dict[str, Any] | HTTPSeeOther:
        """Change the name, the redirect URIs or the scopes."""
        client = self._client()
        uris = text_of(self.request, "redirect_uris").split()
        try:
            with self.dbsession.begin_nested():
                change_client(
                    self.dbsession,
                    client,
                    name=text_of(self.request, "name"),
                    redirect_uris=uris if uris or client.redirect_uris else None,
                    scopes=text_of(self.request, "scopes").split(),
                )
        except Refused as refused:
            self.request.response.status_int = 400
            return self.show(refused=str(refused))
        details = {name: getattr(client, name) for name in ("name", "redirect_uris", "scopes")}
        self._record(Action.CLIENT_CHANGE, client, change="registration", **details)
        return self.redirect()

    def delete(self) -> dict[str, Any] | HTTPSeeOther:
        """Delete the client with its grants and tokens."""
        client = self._client()
        try:
            delete_client(self.dbsession, client)
        except Refused as refused:
            self.request.response.status_int = 400
            return self.show(refused=str(refused))
        self._record(Action.CLIENT_DELETE, client, name=client.name)
        return self.redirect()

    def _client(self) -> OAuthClient:
        client = client_of_id(self.dbsession, self.request.matchdict["client_id"])
        if client is None or not (self.me.is_admin or client.owner_id == self.me.user_id):
            raise HTTPNotFound
        return client

    def _redirect_with_secret(self, client: OAuthClient, secret: str | None) -> HTTPSeeOther:
        secrets = {} if secret is None else {"secret": secret}
        return self.redirect(client_id=client.client_id, **secrets)

    def _record(self, action: Action, client: OAuthClient, **details: Any) -> None:
        self.record(action, f"client:{client.client_id}", **details)


def includeme(config: Configurator) -> None:
    show = account_view("GET", ClientViews, "show", _PAGE)
    create = account_view("POST", ClientViews, "create", _PAGE)
    add_account_page(config, "clients", "/account/clients", show, create)
    for action in ("rotate", "change", "delete", "disable", "enable"):
        path = f"/account/clients/{{client_id}}/{action}"
        view = account_view("POST", ClientViews, action, _PAGE)
        add_account_page(config, f"{action}_client", path, view)
