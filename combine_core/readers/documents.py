"""Reads documents: PDF with a text layer, DOCX, HTML."""

from __future__ import annotations

import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from combine_core.readers.block import BlockKind
from combine_core.readers.plain import decoded
from combine_core.readers.reading import Builder, Reading, Unreadable, one_line, table

_PAGE_NUMBER = re.compile(
    r"^\W*(?:(?:page|seite|p\.|s\.)\s*)?\d{1,4}(?:\s*(?:of|von|/)\s*\d{1,4})?\W*$|^\d{1,4}\s+(?=\D*$)|(?<=\D)\s+\d{1,4}$",
    re.IGNORECASE,
)
_TITLE = re.compile(r"[^\W_a-z](?:[^\n:;,|€$]{2,60}[^\n.:;,!?…|€$]|[^\n:]{2,60}:)")
# "o" is the mark of Word's second level.
_BULLET = re.compile(r"(?:[•‣▪●○◦§–*-]|o(?=\s+[A-Z])|\(?\d{1,3}[.)]|[a-z]\))\s+\S")
_SENTENCE_END = re.compile(r"[.!?:…][\"'”’)\]]*\Z")
# "… of the", at the end of a line.
_GOES_ON = re.compile(
    r"\b(?:and|or|of|the|an?|to|for|with|by|from|und|oder|der|die|das|den|dem|des|zum|zur|von|mit|für|auf|ein\w{0,2})\Z"
)
# A line that stands at the top or the end of so large a share of the pages is no part of the text.
_RUNNING = 0.6
_FEW_PAGES = 4
_EDGE = 2
_FULL = 0.75


def read_pdf(data: bytes, name: str) -> Reading:
    """Read the text layer of a PDF, page by page, without running titles and page numbers."""
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
            if not (index in edges and _without_page(line) in running)
        ]
        paragraphs = list(_paragraphs(kept))
        for paragraph, following in itertools.zip_longest(paragraphs, paragraphs[1:], fillvalue=""):
            marker = _BULLET.match(paragraph)
            if marker is not None:
                at = marker.end() - 1
                prefix = paragraph[:at] if paragraph[:at].strip("(.) ").isalnum() else "- "
                prefix = "- " if prefix == "o " else prefix
                builder.add(BlockKind.LIST_ITEM, paragraph[at:], prefix=prefix, page=number)
            elif _is_heading(paragraph, following):
                builder.heading(1, paragraph, page=number)
            else:
                builder.add(BlockKind.PARAGRAPH, paragraph, page=number)
    return builder.reading()


def _is_heading(paragraph: str, following: str) -> bool:
    """Check for a short line without a full stop above a list or a paragraph of several lines."""
    title = _TITLE.fullmatch(paragraph) is not None
    return title and (_BULLET.match(following) is not None or "\n" in following)


def _running_lines(pages: list[list[str]]) -> set[str]:
    if len(pages) < _FEW_PAGES:
        return set()
    seen = Counter(
        line
        for lines in pages
        for line in {_without_page(line) for line in [*lines[:_EDGE], *lines[-_EDGE:]]}
    )
    return {line for line, count in seen.items() if count >= _RUNNING * len(pages)}


def _without_page(line: str) -> str:
    """Remove the page number at the beginning or the end of a line."""
    return _PAGE_NUMBER.sub("#", line)


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """Join the lines of each paragraph, and words that are hyphenated at the end of a line."""
    # One long address must not make all other lines look short.
    width = sorted(map(len, lines))[len(lines) * 9 // 10] if lines else 0
    paragraph = ""
    previous = ""
    for line in lines:
        new = _BULLET.match(line) or (
            not _GOES_ON.search(previous)
            and len(previous) < _FULL * width
            and (_SENTENCE_END.search(previous) or line[:1].isupper())
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
    """Read a Word document: headings, paragraphs, lists and tables."""
    del name
    import docx
    from docx.table import Table

    try:
        document = docx.Document(io.BytesIO(data))
    except Exception as error:
        raise Unreadable(
            f"is no Word document that can be read ({type(error).__name__}). Save it again as .docx."
        ) from error
    styles = {style.style_id: style.name or "" for style in document.styles}
    builder = Builder()
    for part in _parts(document.element.body):
        if part.tag.endswith("}tbl"):
            rows = Table(part, document).rows
            table(builder, ([_text(cell._tc) for cell in _once(row.cells)] for row in rows))  # noqa: SLF001
            continue
        style = styles.get(part.style or "", "")
        if style.startswith(("Heading ", "Title")):
            level = style.removeprefix("Heading ")
            builder.heading(int(level) if level.isdigit() else 1, _text(part))
        elif style.lower().startswith("toc "):
            builder.add(BlockKind.LINKS, _text(part))
        elif style.startswith("List") or (part.pPr is not None and part.pPr.numPr is not None):
            builder.add(BlockKind.LIST_ITEM, _text(part), prefix="- ")
        else:
            builder.add(BlockKind.PARAGRAPH, _text(part))
    return builder.reading()


def _parts(body: Any) -> Iterator[Any]:
    """Yield the paragraphs and tables of a document, including those in content controls."""
    for child in body.iterchildren():
        name = child.tag.rpartition("}")[2]
        if name in ("p", "tbl"):
            yield child
        elif name in ("sdt", "sdtContent", "ins", "smartTag", "customXml"):
            yield from _parts(child)


def _text(part: Any) -> str:
    """Return the text of a paragraph or cell with tracked insertions and without tracked deletions."""
    words = []
    for node in part.iter():
        name = node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""
        if name == "t":
            words.append(node.text or "")
        elif name in ("tab", "br", "cr") or (name == "p" and words):
            words.append(" ")
    return "".join(words)


def _once(cells: Any) -> Iterator[Any]:
    """Yield each cell of a row once. The library repeats a cell that spans several columns."""
    previous = None
    for cell in cells:
        if cell._tc is not previous:  # noqa: SLF001
            yield cell
        previous = cell._tc  # noqa: SLF001


_DROPPED = frozenset(
    ("script", "style", "noscript", "template", "svg", "nav", "header", "footer", "aside", "form", "button",
     "iframe", "head")
)  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    (
        "p",
        "li",
        "ul",
        "ol",
        "dl",
        "dt",
        "dd",
        "table",
        "tr",
        "td",
        "th",
        "pre",
        "blockquote",
        "div",
        "section",
    )
) | {"article", "main", "body", "figcaption", "figure", "address", "details", "summary"}
_CHARSET = re.compile(rb"""charset\s*=\s*["']?([A-Za-z0-9_:.-]{2,40})""")


def read_html(data: bytes, name: str) -> Reading:
    """Read the main content of a page, without navigation, headers, footers and scripts."""
    del name
    text, notes = _decoded_page(data)
    return read_page(text, notes)


def read_page(text: str, notes: tuple[str, ...] = ()) -> Reading:
    """Read the main content of a page whose encoding is known."""
    from lxml import etree, html

    parser = html.HTMLParser(encoding="utf-8")
    try:
        page = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, ValueError) as error:
        raise Unreadable("is no HTML that can be read. Save the page again.") from error
    main = (
        page.xpath("//main | //*[@role='main']") or page.xpath("//article") or page.xpath("//body")
    )
    builder = Builder()
    for part in main[:50]:
        if not any(part in other.iterdescendants() for other in main if other is not part):
            _walk(builder, part)
    return builder.reading(*notes)


def _decoded_page(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Decode a page with the encoding that it declares, or else with the detected one."""
    named = _CHARSET.search(data[:4096])
    if named is not None and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode(named[1].decode("ascii")), ()
        except (LookupError, UnicodeDecodeError):
            pass
    return decoded(data)


def _walk(builder: Builder, node: Any) -> None:
    if not isinstance(node.tag, str) or node.tag in _DROPPED:
        return
    if node.tag in _HEADINGS:
        builder.heading(_HEADINGS[node.tag], _words(node))
    elif node.tag == "table":
        rows = [list(row.iter("td", "th")) for row in node.iter("tr")]
        # A row that begins with a title and goes on with a value names no columns.
        titled = bool(rows) and [cell.tag for cell in rows[0]] == ["th", "td"]
        table(builder, ([_words(cell) for cell in row] for row in rows), head=not titled)
    elif node.tag == "pre":
        builder.add(BlockKind.CODE, "".join(node.itertext()))
    elif node.tag == "li":
        nested = [child for child in node if child.tag in ("ul", "ol", "table", "dl", "pre")]
        kind = _kind_of(node, BlockKind.LIST_ITEM)
        builder.add(kind, _words(node, but=nested), prefix="- ")
        for child in nested:
            _walk(builder, child)
    elif not any(map(_is_block, node.iterdescendants())):
        builder.add(_kind_of(node, BlockKind.PARAGRAPH), _words(node))
    else:
        # What stands between two blocks is one paragraph, whatever is bold or a link in it.
        run = [node.text or ""]
        for child in node:
            if _is_block(child) or any(map(_is_block, child.iterdescendants())):
                builder.add(BlockKind.PARAGRAPH, " ".join("".join(run).split()))
                _walk(builder, child)
                run = [child.tail or ""]
            else:
                run += [" " if child.tag == "br" else _words(child), child.tail or ""]
        builder.add(BlockKind.PARAGRAPH, " ".join("".join(run).split()))


def _is_block(node: Any) -> bool:
    return isinstance(node.tag, str) and (node.tag in _BLOCKS or node.tag in _HEADINGS)


def _kind_of(node: Any, kind: BlockKind) -> BlockKind:
    if _only_links(node):
        return BlockKind.LINKS
    if node.tag == "blockquote" or any(one.tag == "blockquote" for one in node.iterancestors()):
        return BlockKind.QUOTATION
    return kind


def _words(node: Any, but: list[Any] | None = None) -> str:
    skipped = {id(inner) for child in but or () for inner in child.iter()}
    parts: list[str] = []
    for inner in node.iter():
        silent = id(inner) in skipped or not isinstance(inner.tag, str) or inner.tag in _DROPPED
        if inner is not node and (inner.tag == "br" or _is_block(inner)):
            parts.append(" ")
        if not silent and inner.text:
            parts.append(inner.text)
        if inner is not node and inner.tail and id(inner.getparent()) not in skipped:
            parts.append(f" {inner.tail}" if _is_block(inner) else inner.tail)
    return " ".join("".join(parts).split())


def _only_links(node: Any) -> bool:
    """Check for a node that holds links and no other words."""
    links = list(node.iter("a"))
    return any(map(_words, links)) and not re.search(r"\w", _words(node, but=links))
