"""Keyset pagination: the cost of a page does not depend on how deep it is."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

Row = TypeVar("Row")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
NEWEST_FIRST = "-created_at"


class InvalidCursor(ValueError):
    """The cursor did not come from this service."""


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page of a list.

    :ivar next: the cursor of the next page; ``None`` on the last page
    """

    items: Sequence[Row]
    next: str | None


def encode_cursor(key: uuid.UUID, name: str = "") -> str:
    """The key of the last row, and its name in a list by name, as an opaque, URL-safe string."""
    return base64.urlsafe_b64encode(key.bytes + name.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[uuid.UUID, str]:
    """The inverse of :func:`encode_cursor`; raises :class:`InvalidCursor`."""
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True)
        name = decoded[16:].decode()
        if "\0" in name:
            raise ValueError("no name has this")
        return uuid.UUID(bytes=decoded[:16]), name
    except (ValueError, binascii.Error) as error:
        message = "The cursor is not one that this list gave. Start again without a cursor."
        raise InvalidCursor(message) from error


def paginate(
    session: Session,
    statement: Select[Row],
    key: InstrumentedAttribute[uuid.UUID],
    *,
    named: InstrumentedAttribute[str] | None = None,
    sort: str = NEWEST_FIRST,
    cursor: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[Row]:
    """Run ``statement`` for one page, in one SQL statement.

    :param key: a version 7 UUID, which orders the list by time
    :param named: the column of the names, for a list that can be sorted by them; no name is empty
    :param sort: ``created_at`` or the name of the column ``named``; with ``-`` in front, descending
    :param cursor: ``Page.next`` of the previous page
    :param limit: rows per page, 1 to ``MAX_LIMIT``
    :raises InvalidCursor: the cursor did not come from this list
    """
    limit = max(1, min(limit, MAX_LIMIT))
    descending = sort.startswith("-")
    name_column = named if named is not None and sort.lstrip("-") == named.key else None
    columns: list[InstrumentedAttribute[Any]] = [key] if name_column is None else [name_column, key]
    if cursor is not None:
        last, name = decode_cursor(cursor)
        if bool(name) != (name_column is not None):
            message = "The cursor belongs to another order. Start again without a cursor."
            raise InvalidCursor(message)
        place, reached = tuple_(*columns), tuple_(*([name, last] if name else [last]))
        statement = statement.where(place < reached if descending else place > reached)
    statement = statement.order_by(*(column.desc() if descending else column for column in columns))
    # One more row than requested shows whether there is a next page.
    rows: list[Any] = list(session.scalars(statement.limit(limit + 1)))
    if len(rows) <= limit:
        return Page(rows, None)
    last_row = rows[limit - 1]
    name = "" if name_column is None else getattr(last_row, name_column.key)
    return Page(rows[:limit], encode_cursor(getattr(last_row, key.key), name))
