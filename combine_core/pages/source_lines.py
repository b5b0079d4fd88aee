"""Prepares the lines of a source for its page: marked quotes, and the statements that quote each line."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from combine_core.documents import Citation

# Texts are split in chunks of this size, which is faster than line by line.
_CHUNK_SIZE = 65_536


@dataclass
class Line:
    """A line of a source.

    :ivar parts: the text in parts, each with whether it is marked as part of the followed quote
    :ivar citations: the citations whose quote begins in this line
    :ivar carries: whether a statement rests on this line
    """

    number: int
    parts: list[tuple[str, bool]]
    citations: list[Citation] = field(default_factory=list)
    carries: bool = False

    @property
    def is_blank(self) -> bool:
        return not any(text.strip() for text, _ in self.parts)


@dataclass(frozen=True)
class Coverage:
    """The number of lines with text, and of those on which a statement rests."""

    carrying: int
    lines: int


def each_line(text: str) -> Iterator[str]:
    """Yield the lines of a text. Splitting the whole text at once would take many times its memory."""
    start = 0
    while (end := text.find("\n", start + _CHUNK_SIZE)) >= 0:
        yield from text[start:end].split("\n")
        start = end + 1
    yield from text[start:].split("\n")


def show_lines(
    text: str, first: int, count: int, *, followed: list[Citation], citations: Iterable[Citation]
) -> list[Line]:
    """Return ``count`` lines of a source, from line ``first``.

    :param followed: the citations whose quotes are marked
    :param citations: all citations of the source
    """
    spans = _spans(text, followed)
    carrying = _carrying_lines(citations)
    beginning = defaultdict(list)
    for citation in citations:
        beginning[max(citation.line_from, first)].append(citation)
    return [
        Line(
            number,
            _parts(line, spans.get(number, [])),
            citations=[each for each in beginning[number] if each.line_to >= number],
            carries=number in carrying,
        )
        for number, line in enumerate(
            itertools.islice(each_line(text), first - 1, first - 1 + count), first
        )
    ]


def measure_coverage(text: str, citations: Iterable[Citation]) -> Coverage:
    """Count the lines with text of the whole source, and those on which a statement rests."""
    carrying_lines = _carrying_lines(citations)
    carrying = lines = 0
    for number, line in enumerate(each_line(text), 1):
        if line.strip():
            lines += 1
            carrying += number in carrying_lines
    return Coverage(carrying, lines)


def _carrying_lines(citations: Iterable[Citation]) -> set[int]:
    return {
        number
        for citation in citations
        if citation.supports
        for number in range(citation.line_from, citation.line_to + 1)
    }


def _spans(text: str, followed: Iterable[Citation]) -> dict[int, list[tuple[int, int]]]:
    """Return the start and end of the quoted words by line number. Missing quotes have no entry."""
    spans = defaultdict(list)
    for citation in followed:
        lines = list(itertools.islice(each_line(text), citation.line_from - 1, citation.line_to))
        at = "\n".join(lines).find(citation.quote)
        if at < 0:
            continue
        end = at + len(citation.quote)
        for number, line in enumerate(lines, citation.line_from):
            if at < len(line) and end > 0:
                spans[number].append((max(at, 0), min(end, len(line))))
            at -= len(line) + 1
            end -= len(line) + 1
    return spans


def _parts(line: str, spans: list[tuple[int, int]]) -> list[tuple[str, bool]]:
    parts = []
    done = 0
    for start, end in sorted(spans):
        if end > done:
            parts += [(line[done : max(start, done)], False), (line[max(start, done) : end], True)]
            done = end
    parts.append((line[done:], False))
    return [(text, marked) for text, marked in parts if text]
