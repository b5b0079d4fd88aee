"""Foreign keys that no index serves: PostgreSQL makes none for them by itself.

Without one, each deletion in the table that is pointed at, and each question for what belongs to a
row of it, reads the other table from end to end (PostgreSQL's manual, 5.5.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from combine_core.database.migrations import is_ours

# An index serves if it leads with the columns of the key, in any order, holds every row, is complete,
# and can look for equality. The children of a partitioned table have what their parent has.
WITHOUT_INDEX = """
    SELECT tables.relname::text, keys.conname::text, (
      SELECT array_agg(attname::text ORDER BY position)
      FROM unnest(keys.conkey) WITH ORDINALITY AS columns (number, position)
      JOIN pg_attribute ON attrelid = keys.conrelid AND attnum = columns.number
    )
    FROM pg_constraint AS keys
    JOIN pg_class AS tables ON tables.oid = keys.conrelid
    WHERE keys.contype = 'f' AND keys.conparentid = 0
      AND NOT EXISTS (
        SELECT FROM pg_index AS indexes
        JOIN pg_class AS found ON found.oid = indexes.indexrelid
        JOIN pg_am AS method ON method.oid = found.relam AND method.amname IN ('btree', 'hash')
        WHERE indexes.indrelid = keys.conrelid
          AND indexes.indisvalid AND indexes.indisready AND indexes.indpred IS NULL
          AND indexes.indnkeyatts >= cardinality(keys.conkey)
          AND (indexes.indkey::int2[])[0:cardinality(keys.conkey) - 1] @> keys.conkey
      )
    ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key: its table, its name and its columns."""

    table: str
    name: str
    columns: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """The statement that makes the index, without stopping anybody's work."""
        return f"CREATE INDEX CONCURRENTLY ON {self.table} ({', '.join(self.columns)})"


def without_index(rows: Iterable[tuple[Any, ...]]) -> list[ForeignKey]:
    """What `WITHOUT_INDEX` has answered, but for Procrastinate's own tables: its indexes are its own."""
    return [
        ForeignKey(table, name, tuple(columns))
        for table, name, columns in rows
        if is_ours(table, "table", None)
    ]
