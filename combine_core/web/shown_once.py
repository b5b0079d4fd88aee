"""Secrets that a page shows once: a new token, the secret of a client, a link.

A form that makes one keeps it here and redirects. The page that follows takes it. So reloading that page
neither makes another secret nor shows this one again, and the secret is in no URL, cookie or log. Until it
is taken it is encrypted with SECRET_KEY, and it can be taken for ten minutes.
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

from combine_core.database.expiry import delete_expired
from combine_core.database.metadata import Identified, Model
from combine_core.settings import settings_of
from combine_core.settings.core import CoreSettings
from combine_core.web.paths import UUID_PATTERN

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet
    from pyramid.request import Request

KEPT = timedelta(minutes=10)
# The parameter of the page's URL that names what to show.
PARAMETER = "shown"
_LABEL = b"combine shown once\0"


class ShownOnce(Identified, Model):
    """What a user is shown once."""

    __tablename__ = "shown_once"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    sealed: Mapped[bytes]


def keep_for_page(request: Request, secret: Mapping[str, str]) -> dict[str, str]:
    """Keep what the next page of the user shows, and return the query of that page."""
    session = request.dbsession
    delete_expired(session, ShownOnce, ShownOnce.created_at < func.now() - KEPT)
    text = json.dumps(dict(secret)).encode()
    row = ShownOnce(user_id=request.identity.user_id, sealed=_seal(request).encrypt(text))
    session.add(row)
    session.flush()
    return {PARAMETER: str(row.id)}


def take_for_page(request: Request) -> dict[str, str]:
    """What this page shows once; empty if there is nothing, or it was shown before."""
    wanted = request.GET.get(PARAMETER, "")
    if request.method != "GET" or not re.fullmatch(UUID_PATTERN, wanted):
        return {}
    sealed = request.dbsession.scalar(
        delete(ShownOnce)
        .where(
            ShownOnce.id == uuid.UUID(wanted),
            ShownOnce.user_id == request.identity.user_id,
            ShownOnce.created_at > func.now() - KEPT,
        )
        .returning(ShownOnce.sealed)
    )
    return {} if sealed is None else _unsealed(request, sealed)


def _unsealed(request: Request, sealed: bytes) -> dict[str, str]:
    from cryptography.fernet import InvalidToken

    try:
        shown: dict[str, str] = json.loads(_seal(request).decrypt(sealed))
    except InvalidToken:
        # SECRET_KEY was replaced a moment ago, and SECRET_KEY_OLD does not have the previous one.
        return {}
    return shown


def _seal(request: Request) -> MultiFernet:
    # Not at the top: it takes long to load, and most processes never use it.
    from cryptography.fernet import Fernet, MultiFernet

    core = settings_of(request.registry, CoreSettings)
    keys = (core.secret_key, *core.secret_key_old)
    digests = (hmac.digest(key.get_secret_value().encode(), _LABEL, "sha256") for key in keys)
    return MultiFernet([Fernet(urlsafe_b64encode(digest)) for digest in digests])
