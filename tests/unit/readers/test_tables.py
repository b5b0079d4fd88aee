"""Tests how tables are divided, and that a cell says what its spreadsheet shows."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta

import openpyxl
import pytest

from combine_core.readers import Unreadable
from tests.unit.readers.shown import read, shown


def workbook(*rows: list, formats: dict[str, str] | None = None) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell, form in (formats or {}).items():
        book.active[cell].number_format = form
    return book


def bytes_of(book: openpyxl.Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("1,50;2,75\n3,25;4,10\n", "1,50 | 2,75"),
        ("a, b, c;1\nd, e;2\n", "a, b, c | 1"),
        ("a|b, c\nd|e\n", "a | b, c"),
        ("a;x,b,c\nd;y,e,f\n", "a;x | b | c"),
        ("sep=|\nx,1|y,2\n", "x,1 | y,2"),
        ('"one; two","three\nfour"\n"five, six",7\n', "one; two | three four"),
        ("a,b\n", "a | b"),
    ],
)
def test_the_delimiter_divides_most_rows_alike(text: str, row: str) -> None:
    assert shown(read("csv", text))[0][1] == row


def test_many_quotation_marks_are_read_quickly() -> None:
    # The standard library needs minutes to guess the delimiter here.
    assert read("csv", '",' * 200_000).text.startswith(", | ,")


@pytest.mark.parametrize("words", ["Tür", "Door"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_encodings_without_their_mark_are_recognised(encoding: str, words: str) -> None:
    reading = read("csv", f"Name,Wert\n{words},5\n".encode(encoding))
    assert shown(reading)[-1] == ("table_row", f"{words} | 5")
    assert reading.notes == (f"It was converted from {encoding.upper()[:6]}.",)


@pytest.mark.parametrize(
    ("value", "form", "words"),
    [
        (1234.5, '#,##0.00 "€"', "1234.5 €"),
        (-900, "[$$-409]#,##0;[Red]-[$$-409]#,##0", "-$900"),
        (900, '_-* #,##0\\ "EUR"_-;-* #,##0', "900 EUR"),
        (2_000_000, '0,,"M"', "2M"),
        (0.123, "0.0%;[Red]-0.0%", "12.3%"),
        (7, '"No. "000', "No. 7"),
        (0.25, "# ?/?", "0.25"),
        (timedelta(hours=30, minutes=5), "[h]:mm", "30:05"),
        (True, "General", "TRUE"),
    ],
)
def test_a_number_has_the_unit_that_its_format_shows(value: object, form: str, words: str) -> None:
    book = workbook(["Kind", "Sum"], ["Fee", value], formats={"B2": form})
    assert shown(read("xlsx", bytes_of(book)))[-1] == ("table_row", f"Fee | {words}")


def test_hidden_sheets_are_named_and_empty_ones_are_not_headings() -> None:
    book = workbook(["Item", "Price"], ["Door", 900])
    book.active.title = "Prices"
    book.create_sheet("Empty")
    hidden = book.create_sheet("Secret")
    hidden.append(["Roof", 1])
    hidden.sheet_state = "hidden"
    reading = read("xlsx", bytes_of(book))
    assert [words for kind, words in shown(reading) if kind == "heading"] == [
        "# Prices",
        "Item | Price",
    ]
    assert reading.notes == ("These hidden sheets are left out: Secret.",)


def test_a_workbook_without_rows_holds_no_text() -> None:
    with pytest.raises(Unreadable, match="no text"):
        read("xlsx", bytes_of(openpyxl.Workbook()))


def test_a_damaged_sheet_is_refused_with_advice() -> None:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(bytes_of(workbook(["Item", "Price"])))) as old,
        zipfile.ZipFile(out, "w") as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'r="A1"', b'r="A1" s="x"'))
    with pytest.raises(Unreadable, match=r"Save it again as \.xlsx"):
        read("xlsx", out.getvalue())
