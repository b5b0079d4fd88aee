"""Inserts a row that may contain a large text.

COPY sends a large row in pieces: an INSERT would need four copies of the text in memory, and the connection
would keep one of them. INSERT sends a small row, because it returns the time of creation without a query.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from sqlalchemy import Table, select, text
from sqlalchemy.orm import Session

from combine_core.database.page import connection_of
from combine_core.observe.statements import COPIED

_PIECE = 65_536
_NULL = "\\N"


class _Row:
    """A row as a file-like object, which psycopg2 reads for COPY."""

    def __init__(self, values: Iterable[str | None]) -> None:
        self._pieces = _pieces(values)

    def read(self, _size: int) -> str:
        return next(self._pieces, "")


def add_row(session: Session, table: Table, values: Mapping[str, object]) -> datetime:
    """Insert one row, and return its time of creation.

    :param values: the values by column name, including the key ``id``
    """
    session.flush()
    connection = connection_of(session)
    written = {name: _as_text(value) for name, value in values.items()}
    created_at: datetime
    if all(value is None or len(value) <= _PIECE for value in written.values()):
        inserted = connection.exec_driver_sql(_insertion(table.name, tuple(written)), written)
        created_at = inserted.scalar_one()
        return created_at
    statement = text(f"COPY {table.name} ({', '.join(written)}) FROM STDIN")
    connection.execute(statement, execution_options={COPIED: _Row(written.values())})
    created = select(table.c.created_at).where(table.c.id == values["id"])
    created_at = connection.execute(created).scalar_one()
    return created_at


@functools.cache
def _insertion(table: str, names: tuple[str, ...]) -> str:
    # Each value is text. PostgreSQL converts it to the type of the column, as it does for COPY.
    placeholders = ", ".join(f"%({name})s" for name in names)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({placeholders}) RETURNING created_at"  # noqa: S608


def _as_text(value: object) -> str | None:
    match value:
        case None:
            return None
        case bytes():
            return f"\\x{value.hex()}"
        case list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _pieces(values: Iterable[str | None]) -> Iterator[str]:
    for number, value in enumerate(values):
        if number:
            yield "\t"
        if value is None:
            yield _NULL
            continue
        for start in range(0, len(value), _PIECE):
            yield _escaped(value[start : start + _PIECE])
    yield "\n"


def _escaped(value: str) -> str:
    """Escape a value for the text format of COPY. ``str.translate`` would take fifty times as long."""
    value = value.replace("\\", "\\\\")
    return value.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
