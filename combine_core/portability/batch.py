"""Inserts rows of several tables in batches."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from combine_core.database import Model


class Batch:
    """A batch of rows, in which referenced rows are inserted before the rows that refer to them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        self._order = [table.name for table in Model.metadata.sorted_tables]

    def add(self, model: type[Model], row: dict[str, Any]) -> None:
        # Without None, which would become the JSON value null in a column of JSON.
        row = {name: value for name, value in row.items() if value is not None}
        self._rows.setdefault((model.__tablename__, *row), []).append(row)

    def flush(self, *, at_least: int = 0) -> None:
        """Insert the rows, unless there are fewer than ``at_least``."""
        if sum(map(len, self._rows.values())) < at_least:
            return
        for key in sorted(self._rows, key=lambda key: self._order.index(key[0])):
            self._session.execute(insert(Model.metadata.tables[key[0]]), self._rows[key])
        self._rows = {}
