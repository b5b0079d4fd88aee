"""Credentials of a request: the types that sessions, tokens and the security policy share."""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute, Session

from combine_core.database import session_factory
from combine_core.users import Identity

logger = logging.getLogger(__name__)

# 256 random bits in base64url, as returned by `secrets.token_urlsafe(32)`.
RANDOM = re.compile(r"[A-Za-z0-9_-]{43}")
USE_RECORDED_EVERY = timedelta(minutes=1)


class CredentialKind(StrEnum):
    """The kind of credential that authenticated the request."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - the name of a kind


@dataclass(frozen=True)
class Proof:
    """The authenticated user of a request and the credential that proves it.

    :ivar id: id of the session or token row
    :ivar scopes: the permissions that the credential is limited to; ``None`` for all of the user's
    :ivar project_id: the project that the credential is limited to; ``None`` for all of the user's
    """

    identity: Identity
    kind: CredentialKind
    id: uuid.UUID
    scopes: frozenset[str] | None = None
    project_id: uuid.UUID | None = None

    def allows_context(self, context: Any) -> bool:
        """Check whether the credential is valid for the project of this context, if it has one."""
        project = getattr(context, "project", None)
        return self.project_id is None or (project is not None and project.id == self.project_id)

    def allows_permission(self, permission: str) -> bool:
        return self.scopes is None or str(permission) in self.scopes


class FoundCredential(NamedTuple):
    """A valid credential; ``used_id`` is the id of the row that records its last use."""

    proof: Proof
    used_id: uuid.UUID
    use_is_due: bool


def sha256(token: str) -> bytes:
    """Return the hash to store in place of a token. 256 random bits make a slow hash unnecessary."""
    return hashlib.sha256(token.encode()).digest()


def use_is_due(
    last_used_at: ColumnElement[Any] | InstrumentedAttribute[Any],
) -> ColumnElement[bool]:
    """Return the condition that the last use was recorded more than ``USE_RECORDED_EVERY`` ago."""
    return or_(last_used_at.is_(None), last_used_at < func.now() - USE_RECORDED_EVERY)


def use_credential(
    request: Any, found: FoundCredential | None, last_used_at: InstrumentedAttribute[Any]
) -> Proof | None:
    """Return the proof of a valid credential, and record its use if that is due.

    The use is written in a transaction of its own, after the request has returned its connection to the
    pool. In the request's transaction, a 4xx response would roll the write back, the row would stay
    locked while the view runs, and the write could fail the request. If the write fails, the next
    request retries it.

    :param last_used_at: the column that records the use
    """
    if found is None:
        return None

    def write(request: Any) -> None:
        try:
            with session_factory(request.registry).begin() as session:
                _record_use(session, last_used_at, found.used_id)
        except SQLAlchemyError as error:
            # Log the type only: the error's text may quote the parameters of the statement.
            logger.warning("could not record the use of a credential: %s", type(error).__name__)

    if found.use_is_due:
        request.add_finished_callback(write)
    return found.proof


def _record_use(
    session: Session, last_used_at: InstrumentedAttribute[Any], row_id: uuid.UUID
) -> None:
    table: Any = last_used_at.class_
    # Skip a locked row: another request is recording the same use, or revoking the credential.
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
