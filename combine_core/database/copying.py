"""Inserts a row by COPY, which sends a large text in pieces.

An INSERT would need four copies of the text in memory, and the connection would keep one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import Table, text
from sqlalchemy.orm import Session

from combine_core.observe.statements import COPIED

_PIECE = 65_536


class _Row:
    """The file that psycopg2 reads."""

    def __init__(self, values: Iterable[object]) -> None:
        self._pieces = _pieces(values)

    def read(self, _size: int) -> str:
        return next(self._pieces, "")


def copy_row(session: Session, table: Table, values: Mapping[str, object]) -> None:
    """Insert one row. ``values`` are texts, numbers and UUIDs by the names of their columns."""
    session.flush()
    statement = text(f"COPY {table.name} ({', '.join(values)}) FROM STDIN")
    session.execute(statement, execution_options={COPIED: _Row(values.values())})


def _pieces(values: Iterable[object]) -> Iterator[str]:
    for number, value in enumerate(values):
        if number:
            yield "\t"
        written = str(value)
        for start in range(0, len(written), _PIECE):
            yield _escaped(written[start : start + _PIECE])
    yield "\n"


def _escaped(value: str) -> str:
    """As the text format of COPY has it. ``str.translate`` would take fifty times as long."""
    value = value.replace("\\", "\\\\")
    return value.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
