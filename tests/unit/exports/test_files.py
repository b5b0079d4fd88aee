"""Tests DOCX and PDF exports: every word is there, and no text can break the format."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import unicodedata
from datetime import UTC, datetime
from io import BytesIO
from itertools import count
from pathlib import Path
from zipfile import ZipFile

import docx
import pypdfium2
import pytest
import typst
from lxml import etree

from combine_core.exports import NotExported, export
from combine_core.exports.outline import Entry, Note, Outline, Section

HOSTILE = (
    '#panic("x") *a* _b_ $c$ @d <e> `f` \\u{41} [g] ]] // h /* i */ #import "j" <?xml?> &amp; ]]>'
)
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def outline(statements: int = 3, quotes: int = 2, text: str = "The harbour opens.") -> Outline:
    numbers = count(1)

    def statement(index: int) -> Entry:
        notes = [
            Note(next(numbers), f"notes.md, line {index}: “quote {index} {text}”")
            for _ in range(quotes)
        ]
        return Entry("statement", f"{index}: {text}", "Owner: Ada", "Repaired: the line.", notes)

    entries = [Entry("heading", "Within"), *map(statement, range(statements))]
    return Outline(
        f"Brief: {text}"[:200],
        datetime(2026, 11, 28, 12, 0, tzinfo=UTC),
        ["2 of 3 statements are supported."],
        [Section("Summary", entries), Section("Decisions", [Entry("paragraph", "Nothing.")])],
        [("Version", "2, SHA-256 " + "0f" * 32), ("Cost of the run", "0.012000 USD")],
    )


def footnotes_of(file: bytes) -> list[str]:
    """Return the texts of the footnotes, without the two for separator lines."""
    root = etree.fromstring(ZipFile(BytesIO(file)).read("word/footnotes.xml"))
    found = [note for note in root.iter(f"{W}footnote") if f"{W}type" not in note.attrib]
    assert [note.get(f"{W}id") for note in found] == [str(1 + n) for n in range(len(found))]
    return ["".join(note.itertext()).strip() for note in found]


def text_of(file: bytes) -> str:
    """Return the text of a PDF without white space, because lines can be broken anywhere."""
    document = pypdfium2.PdfDocument(file)
    text = "".join(page.get_textpage().get_text_bounded() for page in document)
    document.close()
    return squeezed(text)


def squeezed(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    return "".join(char for char in text if not char.isspace() and char not in "\u200b\ufffe\u00ad")


def test_a_docx_has_styles_contents_and_footnotes() -> None:
    file = export(outline(), "docx")
    document = docx.Document(BytesIO(file))
    styled = [(one.style.name, one.text) for one in document.paragraphs]
    assert styled[0] == ("Title", "Brief: The harbour opens.")
    headings = [text for style, text in styled if style.startswith("Heading")]
    assert headings == ["Summary", "Within", "Decisions", "How it was made"]
    bullets = [text for style, text in styled if style == "List Bullet"]
    assert bullets == [f"{n}: The harbour opens." for n in range(3)]
    assert ("List Continue", "Owner: Ada") in styled
    assert footnotes_of(file) == [
        f"notes.md, line {n}: “quote {n} The harbour opens.”" for n in (0, 0, 1, 1, 2, 2)
    ]
    body = etree.fromstring(ZipFile(BytesIO(file)).read("word/document.xml"))
    references = [one.get(f"{W}id") for one in body.iter(f"{W}footnoteReference")]
    assert references == ["1", "2", "3", "4", "5", "6"]
    assert 'TOC \\o "1-2"' in "".join(one.text for one in body.iter(f"{W}instrText"))
    links = {one.get(f"{W}anchor") for one in body.iter(f"{W}hyperlink")}
    assert links == {one.get(f"{W}name") for one in body.iter(f"{W}bookmarkStart")}
    [table] = document.tables
    assert [cell.text for cell in table.columns[0].cells] == ["Version", "Cost of the run"]


@pytest.mark.skipif(
    "WenQuanYi Micro Hei" not in typst.Fonts().families(),
    reason="install fonts-wqy-microhei",
)
@pytest.mark.parametrize(
    "text", ["港口于五月三日开放。", "会議は五月三日です。", "회의는 오월 삼일입니다."]
)
def test_a_pdf_shows_the_scripts_of_the_installed_font(text: str) -> None:
    file = export(outline(text=text), "pdf")
    # A character without a glyph is drawn as a box, and its text may be lost.
    assert b"WenQuanYiMicroHei" in file
    assert text_of(file).count(squeezed(text)) >= 9


def test_a_pdf_has_every_statement_and_quote() -> None:
    text = text_of(export(outline(), "pdf"))
    for words in (
        "Brief: The harbour opens.",
        "2 of 3 statements are supported.",
        *(f"{n}: The harbour opens." for n in range(3)),
        *(f"notes.md, line {n}: “quote {n} The harbour opens.”" for n in range(3)),
        "Owner: Ada",
        "Repaired: the line.",
        "Nothing.",
        "0f" * 32,
        "0.012000 USD",
    ):
        assert squeezed(words) in text


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        "x" * 300,
        "x" * 39 + '"' * 40,
        "漢字かな العربية 😀👩‍👩‍👧 \u202e",
        '"], quoted: (: \\n #{',
        "\ufffd",
    ],
    ids=[
        "markup",
        "a long word",
        "long quotation marks",
        "scripts",
        "the end of the data",
        "what was replaced",
    ],
)
def test_hostile_text_is_unchanged(text: str) -> None:
    file = export(outline(text=text), "docx")
    document = docx.Document(BytesIO(file))
    bullets = [one.text for one in document.paragraphs if one.style.name == "List Bullet"]
    assert bullets == [f"{n}: {text}" for n in range(3)]
    assert f"“quote 0 {text}”" in footnotes_of(file)[0]
    pdf = text_of(export(outline(text=text), "pdf"))
    if text.isascii():
        assert pdf.count(squeezed(text)) >= 6


def test_a_long_word_stays_on_the_page() -> None:
    document = pypdfium2.PdfDocument(export(outline(text="x" * 5000), "pdf"))
    for page in document:
        text = page.get_textpage()
        right = [text.get_charbox(index)[2] for index in range(text.count_chars())]
        assert max(right, default=0) < page.get_width()
    document.close()


def test_500_statements_are_exported() -> None:
    large = outline(statements=500)
    assert len(footnotes_of(export(large, "docx"))) == 1000
    text = text_of(export(large, "pdf"))
    assert all(squeezed(f"line {n}: “quote {n} The") in text for n in range(500))


def test_an_export_timeout_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotExported, match=r"cannot be written as PDF.*Download it as Markdown"):
        export(outline(), "pdf", timeout=0.01)


def test_an_export_failure_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    broken = outline()
    broken.sections[0].entries.append(Entry("statement", "\x00"))
    with pytest.raises(NotExported, match="cannot be written as DOCX"):
        export(broken, "docx")
    assert "The writer of docx files ended with 1: ValueError" in caplog.text


def test_only_the_writer_loads_the_libraries() -> None:
    program = (
        "import sys, combine_core.api.documents, combine_core.pages.documents, combine_core.problems;"
        "print([name for name in ('docx', 'typst') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_opens_the_docx(tmp_path: Path) -> None:
    (tmp_path / "brief.docx").write_bytes(export(outline(), "docx"))
    subprocess.run(
        ["soffice", "--headless", "--convert-to", "pdf", "--outdir", str(tmp_path), "brief.docx"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        check=True,
        timeout=110,
    )
    text = text_of((tmp_path / "brief.pdf").read_bytes())
    for index in range(3):
        assert squeezed(f"{index}: The harbour opens.") in text
        assert squeezed(f"notes.md, line {index}: “quote {index} The harbour opens.”") in text
