"""Reads PDF files with a text layer."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

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
# The end of the row of a table, "900 950", is not that of a title.
_ROW = re.compile(r"\d[\d.,]*\s+[\d.,]*\d\Z")
_TWO_DIGITS = re.compile(r"[0-9](?=[0-9])")
# A digit of less than this size is raised.
_SMALL = 0.85
_MOST_NOTES = 5


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
    if document.get_formtype():
        document.init_forms()
    pages: list[list[str]] = []
    notes = []
    for number in range(1, len(document) + 1):
        try:
            lines, has_picture = _read_page(document, number - 1)
        except pypdfium2.PdfiumError:
            lines, has_picture = [], False
            notes.append(f"Page {number} is damaged and left out.")
        if has_picture and not lines:
            notes.append(
                f"Page {number} is a picture without text. Recognise its text first (OCR)."
            )
        pages.append(lines)
    if not any(pages):
        raise Unreadable(
            "holds pictures of text only. Recognise the text first (OCR), and send that."
        )
    if len(notes) > _MOST_NOTES:
        notes[_MOST_NOTES:] = [f"So are {len(notes) - _MOST_NOTES} more pages."]
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
                mark = prefix.strip("(.) ")
                listed = mark if mark.isdigit() else ""
                builder.add(
                    BlockKind.LIST_ITEM, paragraph[at:], prefix=prefix, number=listed, page=number
                )
            elif _is_heading(paragraph, following):
                builder.heading(1, paragraph, page=number)
            else:
                builder.add(BlockKind.PARAGRAPH, paragraph, page=number)
    return builder.reading(*notes)


def _read_page(document: Any, index: int) -> tuple[list[str], bool]:
    """Return the lines of a page, and whether it holds a picture."""
    from pypdfium2 import raw

    if document.formenv is not None:
        # What people have filled into a form becomes a part of its page.
        document[index].flatten()
    page = document[index]
    words = page.get_textpage()
    # PDFium writes this character for a hyphen that divides a word at the end of a line, and many fonts name
    # their visible hyphen a soft one.
    text = _with_raised_digits(words).replace("\ufffe", "").replace("\u00ad", "-")
    lines = [line for line in map(one_line, text.splitlines()) if line]
    picture = not lines and any(page.get_objects([raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))
    words.close()
    page.close()
    return lines, picture


def _with_raised_digits(words: Any) -> str:
    """Write "900^1" for the small digit of a note or a power behind a number."""
    from pypdfium2 import raw

    text: str = words.get_text_range()
    if len(text) != words.count_chars():
        return text
    raised = [
        match.end()
        for match in _TWO_DIGITS.finditer(text)
        if raw.FPDFText_GetFontSize(words, match.end())
        < _SMALL * raw.FPDFText_GetFontSize(words, match.start())
    ]
    return "^".join(text[start:end] for start, end in itertools.pairwise([0, *raised, len(text)]))


def _is_heading(paragraph: str, following: str) -> bool:
    """Check for a short line without a full stop above a list or a paragraph of several lines."""
    title = _TITLE.fullmatch(paragraph) is not None and not _ROW.search(paragraph)
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
