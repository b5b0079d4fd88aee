"""Tests that a Word document is read once, whole and in order, with what Word shows and does not store."""

from __future__ import annotations

import io
import zipfile

import docx
import pytest
from docx.oxml import parse_xml

from tests.unit.readers.shown import read, shown

NAMES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)


def bytes_of(document) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def word(*parts: str) -> bytes:
    """Return a document with these paragraphs and tables."""
    document = docx.Document()
    for number, part in enumerate(parts):
        tag, rest = part.split(">", 1)
        document.element.body.insert(number, parse_xml(f"{tag} {NAMES}>{rest}"))
    return bytes_of(document)


def run(words: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{words}</w:t></w:r>'


def with_notes(data: bytes, kind: str, root: str) -> bytes:
    """Add another part to a document, such as its footnotes."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        office = "vnd.openxmlformats-officedocument.wordprocessingml"
        relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
        for name in old.namelist():
            content = old.read(name).decode("latin-1")
            media = f'<Override PartName="/word/{kind}.xml" ContentType="application/{office}.{kind}+xml"/>'
            content = content.replace("</Types>", f"{media}</Types>")
            if name == "word/_rels/document.xml.rels":
                relation = f'<Relationship Id="n" Type="{relations}/{kind}" Target="{kind}.xml"/>'
                content = content.replace("</Relationships>", f"{relation}</Relationships>")
            new.writestr(name, content.encode("latin-1"))
        new.writestr(f"word/{kind}.xml", f"<w:{kind} {NAMES}>{root}</w:{kind}>")
    return out.getvalue()


def test_moved_words_and_text_boxes_are_read_once() -> None:
    box = f"<w:txbxContent><w:p>{run('In the box')}</w:p></w:txbxContent>"
    data = word(
        f"<w:p><w:moveFrom>{run('Moved.')}</w:moveFrom>{run('Stays.')}</w:p>",
        f"<w:p><w:moveTo>{run('Moved.')}</w:moveTo></w:p>",
        f"<w:p>{run('Before ')}<w:r><mc:AlternateContent><mc:Choice Requires='wps'>{box}</mc:Choice>"
        f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r>{run('behind.')}</w:p>",
    )
    assert [words for _, words in shown(read("docx", data))] == [
        "Stays.",
        "Moved.",
        "Before behind.",
        "In the box",
    ]


def test_struck_out_hidden_and_special_characters() -> None:
    data = word(
        f"<w:p>{run('Fee ')}{run('800 ', '<w:strike/>')}{run('900')}{run('secret', '<w:vanish/>')}"
        "<w:r><w:t>, e</w:t><w:noBreakHyphen/><w:t>mail, co</w:t><w:softHyphen/><w:t>op</w:t></w:r></w:p>"
    )
    assert shown(read("docx", data)) == [("paragraph", "Fee ~~800~~ 900, e-mail, coop")]


def test_raised_digits_are_no_digits_of_the_number() -> None:
    raised = '<w:vertAlign w:val="superscript"/>'
    data = word(
        f"<w:p>{run('Fee 900')}{run('1', raised)}{run(' EUR for 5 m')}{run('2', raised)}</w:p>"
    )
    assert shown(read("docx", data)) == [("paragraph", "Fee 900^1 EUR for 5 m2")]


def test_check_boxes_are_done_or_open() -> None:
    symbol = "<w:r><w:sym w:font='Wingdings' w:char='F0FE'/></w:r>"
    box = "<w:checkBox><w:default w:val='0'/></w:checkBox>"
    form = f"<w:r><w:fldChar><w:ffData>{box}</w:ffData></w:fldChar></w:r>"
    data = word(
        f"<w:p>{run('☒')}{run(' Call Ann')}</w:p>",
        f"<w:p>{symbol}{run(' Call Ben')}</w:p>",
        f"<w:p>{form}{run(' Call Cem')}</w:p>",
    )
    reading = read("docx", data)
    assert shown(reading) == [("list_item", f"Call {name}") for name in ("Ann", "Ben", "Cem")]
    assert [block.done for block in reading.blocks or ()] == [True, True, False]


def test_items_have_the_numbers_that_word_shows() -> None:
    document = docx.Document()
    levels = "".join(
        f'<w:lvl w:ilvl="{level}"><w:start w:val="{start}"/><w:numFmt w:val="{form}"/>'
        f'<w:lvlText w:val="{text}"/></w:lvl>'
        for level, start, form, text in (
            (0, 3, "decimal", "%1."),
            (1, 1, "lowerLetter", "%1.%2)"),
            (2, 4, "upperRoman", "%3"),
        )
    )
    numbering = document.part.numbering_part.element
    numbering.insert(
        0, parse_xml(f'<w:abstractNum {NAMES} w:abstractNumId="77">{levels}</w:abstractNum>')
    )
    override = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="9"/></w:lvlOverride>'
    for number_id, more in ((77, ""), (78, override)):
        numbering.append(
            parse_xml(
                f'<w:num {NAMES} w:numId="{number_id}"><w:abstractNumId w:val="77"/>{more}</w:num>'
            )
        )
    for level, number_id in ((0, 77), (1, 77), (1, 77), (2, 77), (0, 77), (1, 77), (0, 78), (0, 0)):
        paragraph = document.add_paragraph("Words")
        of_list = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number_id}"/></w:numPr>'
        paragraph._p.insert(0, parse_xml(f"<w:pPr {NAMES}>{of_list}</w:pPr>"))
    document.add_paragraph("Words", style="List Number")
    document.add_paragraph("Words", style="List Bullet")
    reading = read("docx", bytes_of(document))
    assert [line.removesuffix(" Words") for line in reading.text.split("\n") if line] == [
        "3.", "3.a)", "3.b)", "IV", "4.", "4.a)", "9.", "Words", "1.", "-",
    ]  # fmt: skip
    assert [block.number for block in reading.blocks or ()][:2] == ["3", "3.a"]


def test_cells_stand_below_their_columns_and_one_column_is_no_table() -> None:
    document = docx.Document()
    table = document.add_table(rows=3, cols=3)
    for row, words in enumerate((("Item", "2025", "2026"), ("Door", "", "900"), ("", "1", "2"))):
        for column, word_of_cell in enumerate(words):
            table.cell(row, column).text = word_of_cell
    table.cell(1, 0).merge(table.cell(1, 1))
    table.cell(1, 0).merge(table.cell(2, 1))
    frame = document.add_table(rows=1, cols=1).cell(0, 0)
    frame.text = "First."
    frame.add_paragraph("Second.")
    assert shown(read("docx", bytes_of(document))) == [
        ("heading", "Item | 2025 | 2026"),
        ("table_row", "Door 1 | | 900"),
        ("table_row", "Door 1 | | 2"),
        ("paragraph", "First."),
        ("paragraph", "Second."),
    ]


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("footnote", [("paragraph", "The fee is 900.[1]"), ("paragraph", "Without tax.")]),
        ("endnote", [("paragraph", "The fee is 900.[1]"), ("paragraph", "Without tax.")]),
        ("comment", [("paragraph", "The fee is 900."), ("comment", "Without tax.")]),
    ],
)
def test_notes_stand_below_the_paragraph_that_refers_to_them(kind: str, found: list) -> None:
    data = word(f"<w:p>{run('The fee is 900.')}<w:r><w:{kind}Reference w:id='2'/></w:r></w:p>")
    note = f"<w:{kind} w:id='2' w:author='Ann'><w:p>{run('Without tax.')}</w:p></w:{kind}>"
    data = with_notes(data, f"{kind}s", note)
    assert shown(read("docx", data)) == found


def test_headings_and_quotations_of_derived_styles() -> None:
    document = docx.Document()
    own = document.styles.add_style("Chapter", 1)
    own.base_style = document.styles["Heading 2"]
    document.add_paragraph("Budget", style="Chapter")
    author = document.styles.add_style("Author", 1)
    author.base_style = document.styles["Title"]
    document.add_paragraph("Ann Lee", style="Author")
    document.add_paragraph("We agree.", style="Quote")
    document.element.body.insert(0, parse_xml(f"<w:p {NAMES}><!-- a comment --></w:p>"))
    document.element.body.insert(0, parse_xml(f"<w:sdt {NAMES}><!-- a comment --></w:sdt>"))
    assert shown(read("docx", bytes_of(document))) == [
        ("heading", "## Budget"),
        ("paragraph", "Ann Lee"),
        ("quotation", "We agree."),
    ]
