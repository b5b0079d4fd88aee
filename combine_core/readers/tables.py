"""Reads tables: CSV, TSV and XLSX. The first row of each names its columns."""

from __future__ import annotations

import csv
import io
import itertools
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any

from combine_core.readers.plain import decoded
from combine_core.readers.reading import Builder, Reading, Unreadable, table

_SAMPLE = 20_000
_SAMPLED_ROWS = 100
_DIVIDING_COMMA = re.compile(r"(?<!\d),|,(?!\d)")
# A part of the format of a number: words, a currency, a colour, space to fill, a sign, the digits.
_FORMAT = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|\[\$(?P<currency>[^\]-]*)[^\]]*\]|\[[^\]]*\]|[_*].'
    r"|(?P<sign>[€$£¥ %])|(?P<digits>[0#?][0#?,.]*)"
)
_FORMULA = re.compile(rb"<(?:\w{1,10}:)?f[ />]")


def read_csv(data: bytes, name: str) -> Reading:
    """A file of values, separated by commas, semicolons, tabs or bars."""
    text, notes = decoded(data)
    delimiter = ""
    if text.startswith("sep="):
        # Excel's own line.
        delimiter, text = text[4:5].strip("\r\n"), text.partition("\n")[2]
    csv.field_size_limit(len(text) + 1)
    builder = Builder()
    try:
        delimiter = delimiter or _delimiter(text[:_SAMPLE], name)
        table(builder, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise Unreadable(
            f"is no table that can be read ({error}). Save it again as CSV."
        ) from error
    return builder.reading(*notes)


def _delimiter(sample: str, name: str) -> str:
    """Return what divides most of the first rows into the same number of cells."""
    if name.lower().endswith(".tsv") and "\t" in sample:
        return "\t"
    best, most = ",", (0.0, 0)
    for delimiter in ";\t|,":
        if delimiter == "," and best == ";" and not _DIVIDING_COMMA.search(sample):
            # "1,50;2,75"
            continue
        rows = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
        widths = Counter(len(row) for row in itertools.islice(rows, _SAMPLED_ROWS) if any(row))
        divided = {width: count for width, count in widths.items() if width > 1}
        width = max(divided, key=divided.__getitem__, default=0)
        share = divided.get(width, 0) / max(widths.total(), 1)
        if (share, width) > most:
            best, most = delimiter, (share, width)
    return best


def read_xlsx(data: bytes, name: str) -> Reading:
    """A workbook: each visible sheet with its name above it, values instead of formulas."""
    del name
    builder = Builder()
    try:
        return builder.reading(*_read_book(data, builder))
    except (Unreadable, MemoryError, RecursionError):
        raise
    except Exception as error:
        raise Unreadable(
            f"is no workbook that can be read ({type(error).__name__}). Save it again as .xlsx."
        ) from error


def _read_book(data: bytes, builder: Builder) -> list[str]:
    """Read the sheets, and return the notes."""
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    formulas = load_workbook(io.BytesIO(data), read_only=True) if _has_formulas(data) else None
    if not book.worksheets:
        raise Unreadable("holds no sheets that can be read. Save it again as .xlsx.")
    unknown = 0
    hidden = []
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # some programs write wrong ones
        rows = (row for row in _rows(sheet.iter_rows()) if row)
        first = next(rows, None)
        if first is None:
            continue
        if sheet.sheet_state != "visible":
            hidden.append(sheet.title)
            continue
        builder.heading(1, sheet.title)
        table(builder, itertools.chain([first], rows))
        if formulas is not None:
            formulas[sheet.title].reset_dimensions()
            unknown += _without_result(sheet, formulas[sheet.title])
    notes = []
    if hidden:
        notes.append(f"These hidden sheets are left out: {', '.join(hidden)}.")
    if unknown:
        notes.append(
            f"The results of {unknown} formulas are not in the file, so their cells are left out."
            " Open it in a spreadsheet program, and save it again."
        )
    return notes


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
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float | int):
        form = cell.number_format
        return _plain(value) if form == "General" else _with_unit(value, form.partition(";")[0])
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    if isinstance(value, datetime):
        moment = (value.hour, value.minute, value.second)
        return value.date().isoformat() if moment == (0, 0, 0) else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, time):
        return f"{value:%H:%M}"
    return value


def _with_unit(value: float, form: str) -> str:
    """The number as a share, or with the currency or the unit that its format adds to it."""
    before = behind = digits = ""
    for part in _FORMAT.finditer(form):
        words = part["quoted"] or part["escaped"] or part["currency"] or part["sign"] or ""
        if part["digits"]:
            digits, behind = digits or part["digits"], ""
        elif digits:
            behind += words
        else:
            before += words
    if "%" in before + behind:
        return f"{value:.{len(digits.partition('.')[2])}%}"
    if not digits:
        return _plain(value)
    # Each comma at the end divides by a thousand, as in "2 M".
    thousands = len(digits) - len(digits.rstrip(","))
    number = _plain(abs(value) / 1000**thousands if thousands else abs(value))
    return f"{'-' if value < 0 else ''}{before}{number}{behind}"


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"
