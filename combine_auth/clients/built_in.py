"""Defines the built-in clients: the command line and the API explorer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from combine_auth.clients.model import GrantType, OAuthClient
from combine_auth.tokens.scopes import PLAIN
from combine_core.database import new_id

CLI = "combine-cli"
EXPLORER = "combine-explorer"
# The redirect URI of Swagger UI.
EXPLORER_PATH = "/docs/oauth2-redirect.html"


@dataclass(frozen=True)
class BuiltInClient:
    """A public client that is part of the service."""

    client_id: str
    name: str
    grant_types: tuple[GrantType, ...]
    redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = PLAIN


def built_in_clients(public_url: str) -> dict[str, BuiltInClient]:
    """Return the built-in clients of the service at this origin, by client id."""
    clients = (
        BuiltInClient(
            CLI,
            "Combine's command line",
            (GrantType.DEVICE_CODE, GrantType.REFRESH_TOKEN),
        ),
        BuiltInClient(
            EXPLORER,
            "Combine's API explorer",
            (GrantType.AUTHORIZATION_CODE,),
            (f"{public_url}{EXPLORER_PATH}",),
        ),
    )
    return {client.client_id: client for client in clients}


def is_current(row: OAuthClient, client: BuiltInClient) -> bool:
    """Check whether the row matches this version's definition."""
    return all(getattr(row, name) == value for name, value in _columns(client).items())


def store(session: Session, client: BuiltInClient) -> None:
    """Insert or update the client's row. Concurrent calls do not conflict."""
    values = _columns(client)
    session.execute(
        insert(OAuthClient)
        .values(id=new_id(), created_at=func.now(), client_id=client.client_id, **values)
        .on_conflict_do_update(index_elements=[OAuthClient.client_id], set_=values)
    )


def _columns(client: BuiltInClient) -> dict[str, Any]:
    return {
        "name": client.name,
        "grant_types": list(client.grant_types),
        "redirect_uris": list(client.redirect_uris),
        "scopes": list(client.scopes),
    }
