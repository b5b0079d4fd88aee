"""Keyset pagination, newest first: the cost of a page does not depend on how deep it is."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

Row = TypeVar("Row")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class InvalidCursor(ValueError):
    """The cursor did not come from this service."""


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page of a list.

    :ivar next: the cursor of the next page; ``None`` on the last page
    """

    items: Sequence[Row]
    next: str | None


def encode_cursor(key: uuid.UUID) -> str:
    """The key of the last row as an opaque, URL-safe string."""
    return base64.urlsafe_b64encode(key.bytes).decode().rstrip("=")


def decode_cursor(cursor: str) -> uuid.UUID:
    """The inverse of :func:`encode_cursor`; raises :class:`InvalidCursor`."""
    try:
        return uuid.UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as error:
        message = "The cursor is not one that this list gave. Start again without a cursor."
        raise InvalidCursor(message) from error


def paginate(
    session: Session,
    statement: Select[Row],
    key: InstrumentedAttribute[uuid.UUID],
    *,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[Row]:
    """Run ``statement`` for one page, in one SQL statement.

    :param key: the column that orders the list: a version 7 UUID, so newest first
    :param cursor: ``Page.next`` of the previous page
    :param limit: rows per page, 1 to ``MAX_LIMIT``
    :raises InvalidCursor: the cursor did not come from this service
    """
    limit = max(1, min(limit, MAX_LIMIT))
    if cursor is not None:
        statement = statement.where(key < decode_cursor(cursor))
    # One more row than requested shows whether there is a next page.
    rows: list[Any] = list(session.scalars(statement.order_by(key.desc()).limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, encode_cursor(getattr(rows[-1], key.key)) if more else None)
