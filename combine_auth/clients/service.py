"""Registers and manages clients, and rotates their secrets. All times are from the database's clock."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from combine_auth.authentication import sha256
from combine_auth.clients.built_in import BuiltInClient, check_not_reserved, store
from combine_auth.clients.model import GrantType, OAuthClient
from combine_auth.clients.redirect_uri import check_redirect_uri
from combine_auth.failures import Refused, clean_name
from combine_auth.oauth_server.grants import revoke_grants_beyond
from combine_auth.tokens.format import CLIENT_SECRET
from combine_auth.tokens.scopes import PLAIN, check_grantable, parse_scopes
from combine_core.users import User

MAX_NAME = 100
MAX_REDIRECT_URIS = 20
# Per owner.
MAX_ACTIVE = 50
MAX_LISTED = 1000
OVERLAP = timedelta(hours=24)
MAX_OVERLAP = timedelta(days=30)


@dataclass(frozen=True)
class ClientRegistration:
    """The registration of a new client.

    :ivar redirect_uris: where browsers return to; at least one enables the code grant
    :ivar device: whether it may sign in on a device without a browser (RFC 8628)
    :ivar service: whether it may act in its own name (client credentials), as a user of its own
    :ivar confidential: whether it can protect a secret, and gets one
    :ivar scopes: the scopes that it may request
    """

    name: str
    redirect_uris: Sequence[str] = ()
    device: bool = False
    service: bool = False
    confidential: bool = True
    scopes: Sequence[str] = field(default=PLAIN)

    def grant_types(self) -> list[str]:
        """Return the grant types that the client needs."""
        types = []
        if self.redirect_uris:
            types.append(GrantType.AUTHORIZATION_CODE)
        if self.device:
            types.append(GrantType.DEVICE_CODE)
        if types:
            types.append(GrantType.REFRESH_TOKEN)
        if self.service:
            types.append(GrantType.CLIENT_CREDENTIALS)
        return [str(grant_type) for grant_type in types]


def register_client(
    session: Session, owner_id: uuid.UUID, registration: ClientRegistration
) -> tuple[OAuthClient, str | None]:
    """Create a client, and return it with its secret; ``None`` for a public one. Raises Refused."""
    name = clean_name(registration.name, "A client's name", MAX_NAME)
    check_not_reserved(name)
    _check(registration)
    scopes = _validate_scopes(registration.scopes, session.get_one(User, owner_id))
    _check_number(session, owner_id)
    secret = CLIENT_SECRET.new() if registration.confidential else None
    client = OAuthClient(
        client_id=secrets.token_hex(12),
        name=name,
        owner_id=owner_id,
        redirect_uris=list(dict.fromkeys(map(check_redirect_uri, registration.redirect_uris))),
        grant_types=registration.grant_types(),
        scopes=scopes,
        secret_sha256=None if secret is None else sha256(secret),
        secret_changed_at=None if secret is None else func.now(),
    )
    if registration.service:
        client.service_user_id = _service_user(session, client.client_id, name)
    session.add(client)
    session.flush()
    return client, secret


def _check(registration: ClientRegistration) -> None:
    if not registration.grant_types():
        message = (
            "The client has no way to get tokens. Add a redirect URI, let it sign in on devices, or"
            " let it act in its own name."
        )
    elif registration.service and not registration.confidential:
        message = "A client that acts in its own name needs a secret: it cannot be public."
    elif len(registration.redirect_uris) > MAX_REDIRECT_URIS:
        message = _too_many_uris(registration.redirect_uris)
    else:
        return
    raise Refused(message)


def _too_many_uris(uris: Sequence[str]) -> str:
    return f"There are {len(uris)} redirect URIs; at most {MAX_REDIRECT_URIS} are allowed."


def _check_number(session: Session, owner_id: uuid.UUID) -> None:
    active = session.scalar(
        select(func.count())
        .select_from(OAuthClient)
        .where(OAuthClient.owner_id == owner_id, OAuthClient.disabled_at.is_(None))
    )
    if active is not None and active >= MAX_ACTIVE:
        message = f"This owner has the maximum of {active} active clients. Disable one first."
        raise Refused(message)


def service_address(client_id: str) -> str:
    """Return the address of a client's own user. Nobody can sign in with .invalid (RFC 2606)."""
    return f"client-{client_id}@clients.invalid"


def _service_user(session: Session, client_id: str, name: str) -> uuid.UUID:
    user = User(email=service_address(client_id), name=name, is_admin=False)
    session.add(user)
    session.flush()
    return user.id


def rotate_secret(session: Session, client: OAuthClient, overlap: timedelta = OVERLAP) -> str:
    """Create and return a new secret. The old one stays valid for ``overlap``."""
    if client.secret_sha256 is None:
        raise Refused(f"{client.name} is a public client: it has no secret.")
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        message = f"The old secret can stay valid for at most {MAX_OVERLAP.days} days."
        raise Refused(message)
    secret = CLIENT_SECRET.new()
    keeps_old = bool(overlap)
    client.old_secret_sha256 = client.secret_sha256 if keeps_old else None
    client.old_secret_until = func.now() + overlap if keeps_old else None
    client.secret_sha256 = sha256(secret)
    client.secret_changed_at = func.now()
    session.flush()
    return secret


def change_client(
    session: Session,
    client: OAuthClient,
    *,
    name: str | None = None,
    redirect_uris: Sequence[str] | None = None,
    scopes: Sequence[str] | None = None,
) -> None:
    """Change the given fields. Grants with other scopes than the new ones are revoked. Raises Refused."""
    owner = owner_of(session, client)
    if owner is None:
        raise Refused(f"{client.name} is built in: it cannot be changed.")
    if name is not None:
        client.name = clean_name(name, "A client's name", MAX_NAME)
        check_not_reserved(client.name)
    if redirect_uris is not None:
        if GrantType.AUTHORIZATION_CODE not in client.grant_types or not redirect_uris:
            raise Refused(
                "A client for browsers needs at least one redirect URI; another client must not have any."
            )
        if len(redirect_uris) > MAX_REDIRECT_URIS:
            raise Refused(_too_many_uris(redirect_uris))
        client.redirect_uris = list(dict.fromkeys(map(check_redirect_uri, redirect_uris)))
    if scopes is not None:
        client.scopes = _validate_scopes(scopes, owner)
        revoke_grants_beyond(session, client)
    session.flush()


def _validate_scopes(scopes: Sequence[str], owner: User) -> list[str]:
    if not scopes:
        message = "The client has no scope, so its tokens could do nothing. Name at least one."
        raise Refused(message)
    chosen = parse_scopes(scopes)
    check_grantable(chosen, is_admin=owner.is_admin)
    return chosen


def delete_client(session: Session, client: OAuthClient) -> None:
    """Delete the client with its grants and tokens. The user that represents it stays, disabled."""
    if client.owner_id is None:
        raise Refused(f"{client.name} is built in: it cannot be deleted. It can be disabled.")
    if client.service_user_id is not None:
        # Its sources and runs reference this user.
        session.get_one(User, client.service_user_id).disabled_at = func.now()
    session.delete(client)
    session.flush()


def disable_client(session: Session, client: OAuthClient) -> None:
    """Disable the client: it gets no more tokens, and its tokens are rejected."""
    if client.disabled_at is None:
        client.disabled_at = func.now()
    session.flush()


def enable_client(session: Session, client: OAuthClient) -> None:
    """Enable the client: it may get tokens again, and its unexpired tokens work again."""
    client.disabled_at = None
    session.flush()


def list_clients(session: Session, owner_id: uuid.UUID | None = None) -> Sequence[OAuthClient]:
    """Return the clients of this owner, or of all owners, newest first."""
    query = select(OAuthClient).order_by(OAuthClient.id.desc()).limit(MAX_LISTED)
    if owner_id is not None:
        query = query.where(OAuthClient.owner_id == owner_id)
    return session.scalars(query).all()


def owner_of(session: Session, client: OAuthClient) -> User | None:
    """Return the user who registered the client; ``None`` for a built-in one."""
    return None if client.owner_id is None else session.get_one(User, client.owner_id)


def client_of_id(
    session: Session, client_id: str, built_in: dict[str, BuiltInClient] | None = None
) -> OAuthClient | None:
    """Return the client with this id, disabled or not. One of ``built_in`` is stored first."""
    if "\0" in client_id:
        return None
    if built_in and client_id in built_in:
        store(session, built_in[client_id])
    return session.scalars(
        select(OAuthClient).where(OAuthClient.client_id == client_id).with_for_update()
    ).first()
