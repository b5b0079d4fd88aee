"""Who is asking, and what shows it: the types that sessions, tokens and the security policy share."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from combine_core.database import session_factory
from combine_core.users import Identity

logger = logging.getLogger(__name__)


class CredentialKind(StrEnum):
    """What the request was authenticated with."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - the name of a kind


@dataclass(frozen=True)
class Proof:
    """An authenticated request: the user, and the credential that shows it.

    :ivar id: the row of the session or of the token
    :ivar scopes: the only permissions that the credential is good for; ``None``: all of its user's
    """

    identity: Identity
    kind: CredentialKind
    id: uuid.UUID
    scopes: frozenset[str] | None = None

    def covers(self, permission: str) -> bool:
        """Whether the credential is good for this permission."""
        return self.scopes is None or str(permission) in self.scopes


class Authenticator(Protocol):
    """One way to authenticate a request. The security policy tries one after the other."""

    def presented(self, request: Any) -> str | None:
        """The credential that the request brings, unchecked; ``None`` if it brings none of this kind."""

    def prove(self, request: Any, credential: str) -> Proof | None:
        """Check it. ``None`` if it is forged, expired or revoked, or its user is disabled."""


def sha256(token: str) -> bytes:
    """The hash that the database stores instead of a token.

    Our tokens have 256 random bits, so that a slow password hash would add nothing.
    """
    return hashlib.sha256(token.encode()).digest()


def record_use_after_request(
    request: Any, record: Callable[[Session, uuid.UUID], None], row_id: uuid.UUID
) -> None:
    """Call ``record(session, row_id)`` in a transaction of its own once the request is over.

    In the request's own transaction, the write would be lost with every 4xx, would lock the row while
    the view works, and could fail the request. Afterwards, the request has returned its connection to
    the pool. A failure is only logged: the next request tries again.
    """

    def write(request: Any) -> None:
        try:
            with session_factory(request.registry).begin() as session:
                record(session, row_id)
        except SQLAlchemyError as error:
            # The type only: the error's text may quote the parameters of the statement.
            logger.warning("could not record a use: %s", type(error).__name__)

    request.add_finished_callback(write)
