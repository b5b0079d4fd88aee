"""Reads documents: PDF with a text layer, DOCX, HTML."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from combine_core.readers.block import BlockKind
from combine_core.readers.reading import Builder, Reading, Unreadable, one_line, table

_DIGITS = re.compile(r"\d+")
_BULLET = re.compile(r"(?:[•‣▪●○–*-]|\(?\d{1,3}[.)]|[a-z]\))\s+\S")
_SENTENCE_END = re.compile(r"[.!?:…][\"'”’)\]]*\Z")
# A line that stands at the top or the end of so large a share of the pages is no part of the text.
_RUNNING = 0.6
_FEW_PAGES = 4
_EDGE = 2
_FULL = 0.75


def read_pdf(data: bytes, name: str) -> Reading:
    """The text layer of a PDF, page by page, without running titles and page numbers."""
    del name
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise Unreadable("is protected by a password. Save it without one.") from error
        raise Unreadable("is no PDF that can be read. Save or print it as PDF again.") from error
    pages = []
    for page in document:
        # PDFium writes this character for a hyphen that divides a word at the end of a line.
        text = page.get_textpage().get_text_range().replace("\ufffe", "")
        pages.append([line for line in map(one_line, text.splitlines()) if line])
        page.close()
    if not any(pages):
        raise Unreadable(
            "holds pictures of text only. Recognise the text first (OCR), and send that."
        )
    running = _running_lines(pages)
    builder = Builder()
    for number, lines in enumerate(pages, 1):
        edges = {*range(_EDGE), *range(len(lines) - _EDGE, len(lines))}
        kept = [
            line
            for index, line in enumerate(lines)
            if not (index in edges and _DIGITS.sub("#", line) in running)
        ]
        for paragraph in _paragraphs(kept):
            kind = BlockKind.LIST_ITEM if _BULLET.match(paragraph) else BlockKind.PARAGRAPH
            builder.add(kind, paragraph, page=number)
    return builder.reading()


def _running_lines(pages: list[list[str]]) -> set[str]:
    if len(pages) < _FEW_PAGES:
        return set()
    seen = Counter(
        line
        for lines in pages
        for line in {_DIGITS.sub("#", line) for line in [*lines[:_EDGE], *lines[-_EDGE:]]}
    )
    return {line for line, count in seen.items() if count >= _RUNNING * len(pages)}


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """Lines that belong together, with words that are divided at the end of a line made whole."""
    width = max(map(len, lines), default=0)
    paragraph = ""
    previous = ""
    for line in lines:
        new = _BULLET.match(line) or (
            len(previous) < _FULL * width and (_SENTENCE_END.search(previous) or line[:1].isupper())
        )
        if paragraph and new:
            yield paragraph
            paragraph = ""
        if paragraph.endswith(("-", "\u00ad")) and line[:1].islower():
            paragraph = paragraph[:-1] + line
        else:
            paragraph = f"{paragraph}\n{line}" if paragraph else line
        previous = line
    if paragraph:
        yield paragraph


def read_docx(data: bytes, name: str) -> Reading:
    """A Word document: headings, paragraphs, lists and tables."""
    del name
    import docx
    from docx.table import Table

    try:
        document = docx.Document(io.BytesIO(data))
    except Exception as error:
        raise Unreadable(
            f"is no Word document that can be read ({type(error).__name__}). Save it again as .docx."
        ) from error
    builder = Builder()
    for part in document.iter_inner_content():
        if isinstance(part, Table):
            table(
                builder, ([cell.text.replace("\n", " ") for cell in row.cells] for row in part.rows)
            )
            continue
        style = (part.style.name if part.style is not None else "") or ""
        if style.startswith(("Heading ", "Title")):
            level = style.removeprefix("Heading ")
            builder.heading(int(level) if level.isdigit() else 1, part.text)
        elif style.startswith("List") or _is_listed(part):
            builder.add(BlockKind.LIST_ITEM, part.text, prefix="- ")
        else:
            builder.add(BlockKind.PARAGRAPH, part.text)
    return builder.reading()


def _is_listed(paragraph: Any) -> bool:
    properties = paragraph._p.pPr  # noqa: SLF001 - the library has no other way to ask
    return properties is not None and properties.numPr is not None


_DROPPED = frozenset(
    ("script", "style", "noscript", "template", "svg", "nav", "header", "footer", "aside", "form", "button",
     "iframe", "head")
)  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(("p", "li", "pre", "blockquote", "td", "th", "dt", "dd", "figcaption", "div", "section",
                     "article", "main", "body"))  # fmt: skip


def read_html(data: bytes, name: str) -> Reading:
    """The main content of a page: without navigation, headers, footers and scripts."""
    del name
    from lxml import etree, html

    try:
        page = html.document_fromstring(data)
    except (etree.ParserError, ValueError) as error:
        raise Unreadable("is no HTML that can be read. Save the page again.") from error
    main = (
        page.xpath("//main | //*[@role='main']") or page.xpath("//article") or page.xpath("//body")
    )
    builder = Builder()
    for part in main[:50]:
        _walk(builder, part)
    return builder.reading()


def _walk(builder: Builder, node: Any) -> None:
    if not isinstance(node.tag, str) or node.tag in _DROPPED:
        return
    if node.tag in _HEADINGS:
        builder.heading(_HEADINGS[node.tag], _words(node))
    elif node.tag == "table":
        table(builder, ([_words(cell) for cell in row.iter("td", "th")] for row in node.iter("tr")))
    elif node.tag == "pre":
        builder.add(BlockKind.CODE, "".join(node.itertext()))
    elif node.tag == "li":
        nested = [child for child in node if child.tag in ("ul", "ol")]
        builder.add(BlockKind.LIST_ITEM, _words(node, but=nested), prefix="- ")
        for child in nested:
            _walk(builder, child)
    elif any(child.tag in _BLOCKS or child.tag in _HEADINGS or child.tag in ("ul", "ol", "table", "dl")
             for child in node.iter() if child is not node and isinstance(child.tag, str)):  # fmt: skip
        if node.text and node.text.strip():
            builder.add(BlockKind.PARAGRAPH, node.text)
        for child in node:
            _walk(builder, child)
            if child.tail and child.tail.strip():
                builder.add(BlockKind.PARAGRAPH, child.tail)
    else:
        quoted = node.tag == "blockquote" or any(
            parent.tag == "blockquote" for parent in node.iterancestors()
        )
        kind = BlockKind.QUOTATION if quoted else BlockKind.PARAGRAPH
        if _only_links(node):
            kind = BlockKind.LINKS
        builder.add(kind, _words(node))


def _words(node: Any, but: list[Any] | None = None) -> str:
    skipped = {id(inner) for child in but or () for inner in child.iter()}
    parts: list[str] = []
    for inner in node.iter():
        silent = id(inner) in skipped or not isinstance(inner.tag, str) or inner.tag in _DROPPED
        if inner.tag == "br":
            parts.append("\n")
        if not silent and inner.text:
            parts.append(inner.text)
        if inner is not node and inner.tail and id(inner.getparent()) not in skipped:
            parts.append(inner.tail)
    return re.sub(r"[ \t\r\f]*\n[ \t\r\f]*", " ", "".join(parts))


def _only_links(node: Any) -> bool:
    links = "".join(text for link in node.iter("a") for text in link.itertext())
    return bool(links.strip()) and not re.sub(r"\W", "", _words(node).replace(links, ""))
