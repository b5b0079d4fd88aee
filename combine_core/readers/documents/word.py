"""Reads Word documents."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from combine_core.readers.block import BlockKind
from combine_core.readers.reading import Builder, Reading, Unreadable, table


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
