"""Reads tables: CSV, TSV and XLSX. The first row of each names its columns."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime, time
from typing import Any

from combine_core.readers.plain import decoded
from combine_core.readers.reading import Builder, Reading, Unreadable, table

_FORMULA = re.compile(rb"<(?:\w{1,10}:)?f[ />]")


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
        formulas = load_workbook(io.BytesIO(data), read_only=True) if _has_formulas(data) else None
    except Exception as error:
        raise Unreadable(
            f"is no workbook that can be read ({type(error).__name__}). Save it again as .xlsx."
        ) from error
    builder = Builder()
    unknown = 0
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            continue
        sheet.reset_dimensions()  # some programs write wrong ones
        builder.heading(1, sheet.title)
        table(builder, _rows(sheet.iter_rows()))
        if formulas is not None:
            formulas[sheet.title].reset_dimensions()
            unknown += _without_result(sheet, formulas[sheet.title])
    notes = []
    if unknown:
        notes.append(
            f"The results of {unknown} formulas are not in the file, so their cells are left out."
            " Open it in a spreadsheet program, and save it again."
        )
    return builder.reading(*notes)


def _has_formulas(data: bytes) -> bool:
    """Check whether any sheet contains a formula, without parsing the sheets."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if not name.startswith("xl/worksheets/"):
                continue
            with archive.open(name) as sheet:
                end = b""
                while piece := sheet.read(65_536):
                    if _FORMULA.search(end + piece):
                        return True
                    end = piece[-20:]
    return False


def _without_result(sheet: Any, formulas: Any) -> int:
    """Count the formulas without a stored result, as a program writes that does not compute them."""
    return sum(
        isinstance(formula, str) and formula.startswith("=") and value is None
        for values, written in zip(
            sheet.iter_rows(values_only=True), formulas.iter_rows(values_only=True), strict=False
        )
        for value, formula in zip(values, written, strict=False)
    )


def _rows(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[object, ...]]:
    """The rows without the empty cells at their ends, which some programs write by the thousand."""
    for cells in rows:
        last = max((n for n, cell in enumerate(cells) if cell.value is not None), default=-1)
        yield tuple(map(_shown, cells[: last + 1]))


def _shown(cell: Any) -> object:
    """The value as a spreadsheet shows it: "19%" for 0.19, a day without the midnight stored with it."""
    value = cell.value
    if isinstance(value, float | int) and not isinstance(value, bool):
        form = cell.number_format
        if "%" in form:
            decimals = len(form.partition(".")[2].rstrip('%" '))
            return f"{value:.{decimals}%}"
        return f"{value:.15g}" if isinstance(value, float) else value
    if isinstance(value, datetime):
        moment = (value.hour, value.minute, value.second)
        return value.date().isoformat() if moment == (0, 0, 0) else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, time):
        return f"{value:%H:%M}"
    return value
