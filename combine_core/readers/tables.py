"""Reads tables: CSV, TSV and XLSX. The first row of each names its columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime

from combine_core.readers.plain import decoded
from combine_core.readers.reading import Builder, Reading, Unreadable, table


def read_csv(data: bytes, name: str) -> Reading:
    """A file of values, separated by commas, semicolons or tabs."""
    text, notes = decoded(data)
    sample = text[:20_000]
    if text.startswith("sep="):
        # Excel's own line.
        text = text.partition("\n")[2]
    try:
        # Only the delimiter: the sniffer takes an apostrophe for a quotation mark.
        delimiter = csv.Sniffer().sniff(sample, delimiters=",;\t|").delimiter
    except csv.Error:
        delimiter = "\t" if name.lower().endswith(".tsv") else ","
    csv.field_size_limit(len(text) + 1)
    builder = Builder()
    try:
        table(builder, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise Unreadable(
            f"is no table that can be read ({error}). Save it again as CSV."
        ) from error
    return builder.reading(*notes)


def read_xlsx(data: bytes, name: str) -> Reading:
    """A workbook: each sheet with its name above it, values instead of formulas."""
    del name
    from openpyxl import load_workbook

    try:
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except Exception as error:
        raise Unreadable(
            f"is no workbook that can be read ({type(error).__name__}). Save it again as .xlsx."
        ) from error
    builder = Builder()
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            continue
        sheet.reset_dimensions()  # some programs write wrong ones
        builder.heading(1, sheet.title)
        table(builder, _rows(sheet.iter_rows(values_only=True)))
    return builder.reading()


def _rows(rows: Iterator[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
    """The rows without the empty cells at their ends, which some programs write by the thousand."""
    for cells in rows:
        last = max((n for n, cell in enumerate(cells) if cell is not None), default=-1)
        yield tuple(map(_shown, cells[: last + 1]))


def _shown(cell: object) -> object:
    """A day without the midnight that a workbook stores with it."""
    if isinstance(cell, datetime) and (cell.hour, cell.minute, cell.second) == (0, 0, 0):
        return cell.date().isoformat()
    return cell
