"""Tests the text, the pages and the blocks of PDF files, and what is said of pages that cannot be read."""

from __future__ import annotations

import pytest

from combine_core.readers import Unreadable
from tests.unit.readers.shown import pdf, read, shown

PICTURE = ") Tj ET q 9 0 0 9 0 0 cm BI /W 1 /H 1 /BPC 8 /CS /G ID x EI Q BT ("


def test_pdf_pages_paragraphs_and_running_titles() -> None:
    towns = ("Rome", "Oslo", "Bern", "Kiel", "Graz")
    pages = [
        [
            "Annual report",
            f"The fee of {town} is set by the board and the coun-",
            f"cil of {town} together, and it holds for a year in the whole of {town}.",
            f"Page {number}",
        ]
        for number, town in enumerate(towns, 1)
    ]
    reading = read("pdf", pdf(*pages))
    assert reading.blocks is not None
    assert [block.page for block in reading.blocks] == [1, 2, 3, 4, 5]
    assert "board and the council of Oslo" in reading.text
    assert "Annual report" not in reading.text


def test_pdf_titles_and_marks_of_lists() -> None:
    long = "The board talked about the budget of the harbour for a long time on that day, and"
    page = [
        "Budget",
        "- Ann works on the plan.",
        "o Ben reads it.",
        "Elections",
        long,
        "agreed on nothing. See https://example.org/a/very/long/address/that/is/longer/than/all/lines",
        "The Learning Institute met the board in New Orleans on the first day of March 2018, in",
        "Sydney and elsewhere.",
    ]
    reading = read("pdf", pdf(page))
    assert reading.blocks is not None
    found = [(kind, words.replace("\n", " ")) for kind, words in shown(reading)]
    assert found[:4] == [
        ("heading", "# Budget"),
        ("list_item", "Ann works on the plan."),
        ("list_item", "Ben reads it."),
        ("heading", "# Elections"),
    ]
    assert len(found) == 5
    assert reading.blocks[1].headings == ("Budget",)
    assert reading.blocks[-1].headings == ("Elections",)
    assert {block.page for block in reading.blocks} == {1}


def test_pdf_without_text() -> None:
    with pytest.raises(Unreadable, match="OCR"):
        read("pdf", pdf([]))


def test_pdf_keeps_rows_that_differ_in_numbers() -> None:
    pages = [[f"{2000 + 10 * p + n} 9{n}{p} EUR" for n in range(6)] for p in range(5)]
    text = read("pdf", pdf(*pages)).text
    assert all(line in text for page in pages for line in page)


def test_a_line_of_a_pdf_that_ends_in_an_article_goes_on() -> None:
    lines = [
        "The pump of the northern hall runs since the repair.",
        "Ann is at the",
        "Fair in Ulm.",
    ]
    assert "Ann is at the\nFair in Ulm." in shown(read("pdf", pdf(lines)))[-1][1]


def test_raised_digits_are_no_digits_of_the_number() -> None:
    raised = "The fee is 900) Tj /F1 7 Tf 5 Ts (12) Tj 0 Ts /F1 12 Tf ( EUR and 15 more in 2026."
    [block] = shown(read("pdf", pdf([raised])))
    assert block == ("paragraph", "The fee is 900^12 EUR and 15 more in 2026.")


def test_the_row_of_a_table_is_no_heading() -> None:
    page = [
        "Door 900 950",
        "A long line about the door that goes on to the",
        "end of the page and beyond.",
    ]
    assert {kind for kind, _ in shown(read("pdf", pdf(page)))} == {"paragraph"}


def test_items_have_their_numbers() -> None:
    reading = read("pdf", pdf(["1. We take oak.", "2. Tom calls.", "- Ann waits."]))
    assert [block.number for block in reading.blocks or ()] == ["1", "2", ""]


def test_pages_without_text_are_named() -> None:
    reading = read("pdf", pdf(["Words."], [PICTURE], [], [PICTURE]))
    assert shown(reading) == [("paragraph", "Words.")]
    assert reading.notes == tuple(
        f"Page {number} is a picture without text. Recognise its text first (OCR)."
        for number in (2, 4)
    )
    many = read("pdf", pdf(["Words."], *[[PICTURE]] * 9))
    assert many.notes[5:] == ("So are 4 more pages.",)


def test_a_damaged_page_is_named() -> None:
    data = pdf(["Words."], ["Lost."]).replace(b"/Kids [4 0 R 6 0 R]", b"/Kids [4 0 R 9 0 R]")
    assert read("pdf", data).notes == ("Page 2 is damaged and left out.",)


def test_the_values_of_a_form_are_read() -> None:
    look = b"BT /F1 12 Tf 2 5 Td (Anna Lee) Tj ET"
    font = (
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    )
    field = (
        b"/Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Anna Lee) /Rect [50 600 200 620] /F 4"
    )
    data = pdf(["Name:"])
    data = data.replace(b"/Type /Catalog", b"/Type /Catalog /AcroForm << /Fields [8 0 R] >>")
    data = data.replace(b"/Type /Page /Parent", b"/Type /Page /Annots [8 0 R] /Parent")
    form = (
        b"8 0 obj\n<< %b /AP << /N 9 0 R >> >>\nendobj\n" % field
        + b"9 0 obj\n<< /Type /XObject /Subtype /Form /BBox [0 0 150 20] %b /Length %d >>\n"
        % (font, len(look))
        + b"stream\n%b\nendstream\nendobj\n" % look
    )
    # PDFium finds the objects without the table, whose offsets are wrong now.
    data = data.replace(b"xref\n0", form + b"xrxf\n0")
    assert read("pdf", data).text.split() == ["Name:", "Anna", "Lee"]
