"""Writes a document as DOCX, with python-docx."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from docx import Document
from docx.enum.style import WD_STYLE_TYPE
from docx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import XmlPart
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.shared import Pt

from combine_core.exports.outline import Entry, Note, Outline

if TYPE_CHECKING:
    from docx.document import Document as DocumentType
    from docx.oxml.xmlchemy import BaseOxmlElement
    from docx.text.paragraph import Paragraph

_ORIGIN_TITLE = "How it was made"
# Word requires the two separators above the footnotes, with the ids -1 and 0.
_FOOTNOTES = f"""<w:footnotes {nsdecls("w")}>
<w:footnote w:type="separator" w:id="-1"><w:p><w:r><w:separator/></w:r></w:p></w:footnote>
<w:footnote w:type="continuationSeparator" w:id="0">
<w:p><w:r><w:continuationSeparator/></w:r></w:p>
</w:footnote>
</w:footnotes>"""


def write_docx(outline: Outline) -> bytes:
    document = Document()
    properties = document.core_properties
    properties.title, properties.author, properties.comments = outline.title, "Combine", ""
    properties.created = properties.modified = outline.written_at
    _add_footnote_styles(document)
    footnotes = _add_footnotes_part(document)

    document.add_heading(outline.title, 0)
    for remark in outline.remarks:
        document.add_paragraph(remark)
    titles = [section.title for section in outline.sections]
    _add_contents(document, [*titles, _ORIGIN_TITLE])
    for number, section in enumerate(outline.sections):
        _add_bookmark(document.add_heading(section.title, 1), number)
        for entry in section.entries:
            _add_entry(document, footnotes, entry)
    origin = document.add_heading(_ORIGIN_TITLE, 1)
    origin.paragraph_format.page_break_before = True
    _add_bookmark(origin, len(titles))
    table = document.add_table(rows=0, cols=2, style="Table Grid")
    for label, value in outline.origin:
        for cell, text in zip(table.add_row().cells, (label, value), strict=True):
            cell.text = text

    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def _add_entry(document: DocumentType, footnotes: BaseOxmlElement, entry: Entry) -> None:
    if entry.kind == "heading":
        document.add_heading(entry.text, 2)
        return
    paragraph = document.add_paragraph(entry.text)
    # By the ids of the styles, because python-docx searches all styles to find one by its name.
    if entry.kind == "statement":
        paragraph._p.style = "ListBullet"  # noqa: SLF001
    for note in entry.notes:
        _add_footnote(paragraph, footnotes, note)
    for text in filter(None, (entry.details, entry.remark)):
        document.add_paragraph(text)._p.style = "ListContinue"  # noqa: SLF001


def _add_footnote_styles(document: DocumentType) -> None:
    text = document.styles.add_style("footnote text", WD_STYLE_TYPE.PARAGRAPH)
    text.base_style = document.styles["Normal"]
    text.font.size = Pt(9)
    reference = document.styles.add_style("footnote reference", WD_STYLE_TYPE.CHARACTER)
    reference.font.superscript = True


def _add_footnotes_part(document: DocumentType) -> BaseOxmlElement:
    """Add the element that contains the footnotes, for which python-docx has no functions."""
    element: BaseOxmlElement = parse_xml(_FOOTNOTES)
    part = XmlPart(
        PackURI("/word/footnotes.xml"),
        CONTENT_TYPE.WML_FOOTNOTES,
        element,
        document.part.package,
    )
    document.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
    return element


def _add_footnote(paragraph: Paragraph, footnotes: BaseOxmlElement, note: Note) -> None:
    reference = paragraph.add_run()._r  # noqa: SLF001
    reference.style = "footnotereference"
    _add_child(reference, "w:footnoteReference", id=str(note.number))
    footnote = _element("w:footnote", id=str(note.number))
    body = _add_child(footnote, "w:p")
    _add_child(_add_child(body, "w:pPr"), "w:pStyle", val="footnotetext")
    mark = _add_child(body, "w:r")
    _add_child(_add_child(mark, "w:rPr"), "w:rStyle", val="footnotereference")
    _add_child(mark, "w:footnoteRef")
    text = _add_child(_add_child(body, "w:r"), "w:t")
    text.set(qn("xml:space"), "preserve")
    text.text = f" {note.text}"
    footnotes.append(footnote)


def _add_contents(document: DocumentType, titles: list[str]) -> None:
    """Add a table of contents. Word adds the page numbers when a user updates it."""
    document.add_paragraph("Contents", "TOC Heading")
    for number, title in enumerate(titles):
        paragraph = document.add_paragraph()._p  # noqa: SLF001
        if number == 0:
            _add_child(_add_child(paragraph, "w:r"), "w:fldChar", fldCharType="begin")
            code = _add_child(_add_child(paragraph, "w:r"), "w:instrText")
            code.text = 'TOC \\o "1-2" \\h \\z \\u'
            _add_child(_add_child(paragraph, "w:r"), "w:fldChar", fldCharType="separate")
        link = _add_child(paragraph, "w:hyperlink", anchor=_bookmark(number))
        _add_child(_add_child(link, "w:r"), "w:t").text = title
        if number == len(titles) - 1:
            _add_child(_add_child(paragraph, "w:r"), "w:fldChar", fldCharType="end")


def _add_bookmark(heading: Paragraph, number: int) -> None:
    paragraph = heading._p  # noqa: SLF001
    start = _element("w:bookmarkStart", id=str(number), name=_bookmark(number))
    paragraph.insert_element_before(start, "w:r")
    _add_child(paragraph, "w:bookmarkEnd", id=str(number))


def _bookmark(number: int) -> str:
    return f"section{number}"


def _add_child(parent: BaseOxmlElement, tag: str, /, **attributes: str) -> BaseOxmlElement:
    child = _element(tag, **attributes)
    parent.append(child)
    return child


def _element(tag: str, /, **attributes: str) -> BaseOxmlElement:
    element: BaseOxmlElement = OxmlElement(tag)
    for key, value in attributes.items():
        element.set(qn(f"w:{key}"), value)
    return element
