"""Authenticates clients (RFC 6749, 2.3).

Every failure has the same response and takes the same time: an unknown client, a missing secret and a
wrong secret run the same statement and the same comparisons.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session, aliased

from combine_auth.authentication import sha256
from combine_auth.clients.built_in import BuiltInClient, is_current, store
from combine_auth.clients.model import CLIENT_ID_PATTERN, OAuthClient
from combine_core.users import User

# Longer than any issued secret, and still cheap to hash.
_MAX_SECRET = 200
# Compared with the received secret if the client has none.
_NO_SECRET = secrets.token_bytes(32)


@dataclass(frozen=True)
class Credentials:
    """The client credentials of a request."""

    client_id: str
    secret: str | None = None


def read_credentials(parameters: Mapping[str, str], authorization: str) -> Credentials | None:
    """Read the client's id and secret from header or body; ``None`` if malformed, or in neither or both."""
    client_id, secret = parameters.get("client_id"), parameters.get("client_secret")
    if not authorization:
        return None if client_id is None else Credentials(client_id, secret)
    found = _basic(authorization)
    if found is None or secret is not None or client_id not in (None, found.client_id):
        return None
    return found


def _basic(header: str) -> Credentials | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        client_id, colon, secret = text.partition(":")
        # Both parts are form-encoded (RFC 6749, 2.3.1).
        pair = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return Credentials(*pair) if colon else None


def find_client(
    session: Session, client_id: str, built_in: Mapping[str, BuiltInClient]
) -> OAuthClient | None:
    """Return the client, unless it or its owner is disabled. Stores a built-in client at its first use."""
    return _look_up(session, client_id, built_in)[0]


_owner = aliased(User)
_FIND = (
    select(OAuthClient, OAuthClient.old_secret_until > func.now())
    .outerjoin(_owner, _owner.id == OAuthClient.owner_id)
    .where(
        OAuthClient.client_id == bindparam("client_id"),
        OAuthClient.disabled_at.is_(None),
        # Also true for a built-in client, which has no owner.
        _owner.disabled_at.is_(None),
    )
)


def _look_up(
    session: Session, client_id: str, built_in: Mapping[str, BuiltInClient]
) -> tuple[OAuthClient | None, bool]:
    # A malformed id runs the same query, so that it takes the same time.
    valid_id = client_id if re.fullmatch(CLIENT_ID_PATTERN, client_id) else ""
    row = session.execute(_FIND, {"client_id": valid_id}).first()
    client = built_in.get(valid_id)
    if client is not None and (row is None or not is_current(row[0], client)):
        store(session, client)
        row = session.execute(
            _FIND, {"client_id": valid_id}, execution_options={"populate_existing": True}
        ).first()
    return (None, False) if row is None else (row[0], bool(row[1]))


def authenticate(
    session: Session, credentials: Credentials, built_in: Mapping[str, BuiltInClient]
) -> OAuthClient | None:
    """Return the client with these credentials, or ``None``. A public client sends its id and no secret."""
    client, old_is_valid = _look_up(session, credentials.client_id, built_in)
    received = sha256((credentials.secret or "")[:_MAX_SECRET])
    current = (client.secret_sha256 if client else None) or _NO_SECRET
    old = (client.old_secret_sha256 if client and old_is_valid else None) or _NO_SECRET
    # Both are always compared, so that the time does not depend on the result.
    is_valid = hmac.compare_digest(received, current) | hmac.compare_digest(received, old)
    if client is not None and not client.is_confidential:
        return client if credentials.secret is None else None
    return client if is_valid else None
