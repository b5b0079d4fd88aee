"""Rows for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click


def show_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns that line up, two spaces between them."""
    table = [tuple(head), *map(tuple, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def shown_time(value: datetime | None, without: str = "-") -> str:
    """A time in UTC, to the minute."""
    return without if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M}Z"
