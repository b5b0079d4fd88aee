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
# The characters of a key in base64.
_KEY = 22
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
    # In multiples of three bytes, which base64 writes without padding.
    named = name.encode()
    named += b"\0" * (-len(named) % 3)
    written = [base64.urlsafe_b64encode(part).decode() for part in (key.bytes, named)]
    return "".join(written).replace("=", "")


def decode_cursor(cursor: str) -> tuple[uuid.UUID, str]:
    """The inverse of :func:`encode_cursor`; raises :class:`InvalidCursor`."""
    try:
        key, named = (
            base64.b64decode(part, altchars=b"-_", validate=True)
            for part in (f"{cursor[:_KEY]}==", cursor[_KEY:])
        )
        return uuid.UUID(bytes=key), named.decode(errors="replace").replace("\0", "")
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
        # A cursor from another order has no name: the list begins again.
        if name_column is None or name:
            place, reached = (
                tuple_(*columns),
                tuple_(*([last] if name_column is None else [name, last])),
            )
            statement = statement.where(place < reached if descending else place > reached)
    statement = statement.order_by(*(column.desc() if descending else column for column in columns))
    # One more row than requested shows whether there is a next page.
    rows: list[Any] = list(session.scalars(statement.limit(limit + 1)))
    if len(rows) <= limit:
        return Page(rows, None)
    last_row = rows[limit - 1]
    name = "" if name_column is None else getattr(last_row, name_column.key)
    return Page(rows[:limit], encode_cursor(getattr(last_row, key.key), name))
