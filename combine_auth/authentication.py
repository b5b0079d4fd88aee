"""Who is asking, and what shows it: the types that sessions, tokens and the security policy share."""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute, Session

from combine_core.database import session_factory
from combine_core.users import Identity

logger = logging.getLogger(__name__)

# 256 random bits in base64url, as `secrets.token_urlsafe(32)` makes them.
RANDOM = re.compile(r"[A-Za-z0-9_-]{43}")
USE_RECORDED_EVERY = timedelta(minutes=1)


class CredentialKind(StrEnum):
    """What the request was authenticated with."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - the name of a kind


@dataclass(frozen=True)
class Proof:
    """An authenticated request: the user, and the credential that shows it.

    :ivar id: the row of the session or of the token
    :ivar scopes: the only permissions that the credential is good for; ``None``: all of its user's
    :ivar project_id: the only project that the credential is good for; ``None``: all of its user's
    """

    identity: Identity
    kind: CredentialKind
    id: uuid.UUID
    scopes: frozenset[str] | None = None
    project_id: uuid.UUID | None = None

    def reaches(self, context: Any) -> bool:
        """Whether it is good for this context, which names its project if it is in one."""
        project = getattr(context, "project", None)
        return self.project_id is None or (project is not None and project.id == self.project_id)

    def covers(self, permission: str) -> bool:
        return self.scopes is None or str(permission) in self.scopes


class FoundCredential(NamedTuple):
    """A valid credential; ``used_id`` is the row whose use is recorded."""

    proof: Proof
    used_id: uuid.UUID
    use_is_due: bool


class Authenticator(Protocol):
    """One way to authenticate a request. The security policy tries one after the other."""

    def presented(self, request: Any) -> str | None:
        """The credential that the request brings, unchecked; ``None`` if it brings none of this kind."""

    def prove(self, request: Any, credential: str) -> Proof | None:
        """Check it. ``None`` if it is forged, expired or revoked, or its user is disabled."""


def sha256(token: str) -> bytes:
    """The hash that is stored instead of a token. With its 256 random bits, a slow hash would add nothing."""
    return hashlib.sha256(token.encode()).digest()


def use_is_due(
    last_used_at: ColumnElement[Any] | InstrumentedAttribute[Any],
) -> ColumnElement[bool]:
    """Whether the last use was recorded longer ago than ``USE_RECORDED_EVERY``."""
    return or_(last_used_at.is_(None), last_used_at < func.now() - USE_RECORDED_EVERY)


def proof_of(
    request: Any, found: FoundCredential | None, last_used_at: InstrumentedAttribute[Any]
) -> Proof | None:
    """The proof, if the credential is valid; its use is recorded where that is due.

    In the request's own transaction, the write would be lost with every 4xx, would lock the row while
    the view works, and could fail the request. So it gets a transaction of its own, after the request
    has returned its connection to the pool. If it fails, the next request tries again.

    :param last_used_at: the column in which the use is recorded
    """
    if found is None:
        return None

    def write(request: Any) -> None:
        try:
            with session_factory(request.registry).begin() as session:
                _record_use(session, last_used_at, found.used_id)
        except SQLAlchemyError as error:
            # The type only: the error's text may quote the parameters of the statement.
            logger.warning("could not record a use: %s", type(error).__name__)

    if found.use_is_due:
        request.add_finished_callback(write)
    return found.proof


def _record_use(
    session: Session, last_used_at: InstrumentedAttribute[Any], row_id: uuid.UUID
) -> None:
    table: Any = last_used_at.class_
    # Never waits for a lock: whoever holds it writes the same, or revokes the credential.
    due = (
        select(table.id)
        .where(table.id == row_id, use_is_due(last_used_at))
        .with_for_update(skip_locked=True)
    )
    session.execute(
        update(table)
        .where(table.id.in_(due))
        .values({last_used_at: func.now()})
        .execution_options(synchronize_session=False)
    )
