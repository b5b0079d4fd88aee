"""Stores secrets that a page shows once: a new token, a client secret, an invitation link.

A form handler stores the new secret here and redirects. The next page reads and deletes it. Reloading that
page neither creates another secret nor shows this one again, and the secret is in no URL, cookie or log. It
is encrypted with SECRET_KEY and expires after ten minutes.
"""

from __future__ import annotations

import hmac
import json
import re
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, delete, func
from sqlalchemy.orm import Mapped, mapped_column

from combine_core.database.metadata import Identified, Model, delete_expired
from combine_core.settings import settings_of
from combine_core.settings.core import CoreSettings
from combine_core.web.paths import UUID_PATTERN

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet
    from pyramid.request import Request

RETENTION = timedelta(minutes=10)
# The query parameter of the next page that contains the id of the stored secret.
PARAMETER = "shown"
_LABEL = b"combine shown once\0"


class ShownOnce(Identified, Model):
    """An encrypted secret for the next page of a user."""

    __tablename__ = "shown_once"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    sealed: Mapped[bytes]


def keep_for_page(request: Request, secret: Mapping[str, str]) -> dict[str, str]:
    """Store a secret for the next page of the user, and return the query of that page."""
    session = request.dbsession
    delete_expired(session, ShownOnce, ShownOnce.created_at < func.now() - RETENTION)
    text = json.dumps(dict(secret)).encode()
    row = ShownOnce(user_id=request.identity.user_id, sealed=_cipher(request).encrypt(text))
    session.add(row)
    session.flush()
    return {PARAMETER: str(row.id)}


def take_for_page(request: Request) -> dict[str, str]:
    """Read and delete the secret for this page. Return an empty dict if there is none."""
    row_id = request.GET.get(PARAMETER, "")
    if request.method != "GET" or not re.fullmatch(UUID_PATTERN, row_id):
        return {}
    sealed = request.dbsession.scalar(
        delete(ShownOnce)
        .where(
            ShownOnce.id == uuid.UUID(row_id),
            ShownOnce.user_id == request.identity.user_id,
            ShownOnce.created_at > func.now() - RETENTION,
        )
        .returning(ShownOnce.sealed)
    )
    return {} if sealed is None else _decrypt(request, sealed)


def _decrypt(request: Request, sealed: bytes) -> dict[str, str]:
    from cryptography.fernet import InvalidToken

    try:
        secret: dict[str, str] = json.loads(_cipher(request).decrypt(sealed))
    except InvalidToken:
        # SECRET_KEY was replaced a moment ago, and SECRET_KEY_OLD does not contain the previous one.
        return {}
    return secret


def _cipher(request: Request) -> MultiFernet:
    # Imported on first use: it loads slowly, and most processes never use it.
    from cryptography.fernet import Fernet, MultiFernet

    core = settings_of(request.registry, CoreSettings)
    keys = (core.secret_key, *core.secret_key_old)
    digests = (hmac.digest(key.get_secret_value().encode(), _LABEL, "sha256") for key in keys)
    return MultiFernet([Fernet(urlsafe_b64encode(digest)) for digest in digests])
