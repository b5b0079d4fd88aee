"""Stores rows of several tables together."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from combine_core.database import Model


class Batch:
    """Rows that are stored together, those that others refer to first."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        self._order = [table.name for table in Model.metadata.sorted_tables]

    def add(self, model: type[Model], row: dict[str, Any]) -> None:
        # Without NULL, which in a column of JSON would be the JSON null.
        row = {name: value for name, value in row.items() if value is not None}
        self._rows.setdefault((model.__tablename__, *row), []).append(row)

    def send(self, least: int) -> None:
        """Store the rows if there are as many."""
        if sum(map(len, self._rows.values())) < least:
            return
        for key in sorted(self._rows, key=lambda key: self._order.index(key[0])):
            self._session.execute(insert(Model.metadata.tables[key[0]]), self._rows[key])
        self._rows = {}
