"""Defines the built-in clients (the command line and the API explorer), and reserves their names."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from combine_auth.clients.model import GrantType, OAuthClient
from combine_auth.failures import Refused
from combine_auth.tokens.scopes import PLAIN
from combine_core.database import new_id

CLI = "combine-cli"
EXPLORER = "combine-explorer"
# The redirect URI of Swagger UI.
EXPLORER_PATH = "/docs/oauth2-redirect.html"
_PRODUCT = "Combine"
# Letters and digits that look alike in many fonts, after `casefold`.
_ALIKE = (("i", "l"), ("1", "l"), ("|", "l"), ("0", "o"), ("rn", "m"), ("vv", "w"))


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


def check_not_reserved(name: str) -> None:
    """Raise Refused if the name begins with the product's name, or contains that of a built-in client."""
    appearance = _appearance(name)
    if appearance.startswith(_appearance(_PRODUCT)) or any(
        own in appearance for own in _names_of_built_in()
    ):
        raise Refused(
            f"Names that look like those of {_PRODUCT}'s own programs are reserved. Choose another, such"
            f" as “Exporter for {_PRODUCT}”."
        )


@cache
def _names_of_built_in() -> tuple[str, ...]:
    clients = built_in_clients("").values()
    return tuple(
        _appearance(name) for client in clients for name in (client.name, client.client_id)
    )


def _appearance(name: str) -> str:
    """Return the same text for names that look alike: Latin letters, without accents, spaces and case."""
    letters = unicodedata.normalize("NFKD", name)
    text = "".join(map(_ascii_lookalike, letters)).casefold()
    for one, other in _ALIKE:
        text = text.replace(one, other)
    return "".join(letter for letter in text if letter.isalnum())


def _ascii_lookalike(letter: str) -> str:
    """Return the ASCII letter that this one looks like (Unicode TR 39), or the letter itself."""
    # Imported here because its tables take 0.1 seconds to load.
    from confusable_homoglyphs.confusables import confusables_data

    if letter.isascii():
        return letter
    for one in (letter, letter.casefold()):
        for alike in confusables_data.get(one, ()):
            if alike["c"].isascii():
                return str(alike["c"])
    return letter
