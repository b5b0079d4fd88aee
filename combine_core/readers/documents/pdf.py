"""Reads PDF files with a text layer."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator

from combine_core.readers.block import BlockKind
from combine_core.readers.reading import Builder, Reading, Unreadable, one_line

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
        # Many fonts name their visible hyphen so.
        text = text.replace("\u00ad", "-")
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
        if paragraph.endswith("-") and line[:1].islower():
            paragraph = paragraph[:-1] + line
        else:
            paragraph = f"{paragraph}\n{line}" if paragraph else line
        previous = line
    if paragraph:
        yield paragraph
