"""The lines of a source as its page shows them: quoted words marked, statements at the lines they quote."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from combine_core.documents import Citation

# So much is split at once, which is faster than line by line.
_PIECE = 65_536


@dataclass
class Line:
    """One line. ``parts`` is its text in pieces, each with whether it is quoted by what led here."""

    number: int
    parts: list[tuple[str, bool]]
    # What has its quote begin in this line.
    citations: list[Citation] = field(default_factory=list)
    carries: bool = False

    @property
    def is_blank(self) -> bool:
        return not any(text.strip() for text, _ in self.parts)


@dataclass(frozen=True)
class Coverage:
    """How many of the lines that have text carry a statement."""

    carrying: int
    lines: int


def each_line(text: str) -> Iterator[str]:
    """The lines of a text, one after the other. To split all of it would take many times its memory."""
    start = 0
    while (end := text.find("\n", start + _PIECE)) >= 0:
        yield from text[start:end].split("\n")
        start = end + 1
    yield from text[start:].split("\n")


def show_lines(
    text: str, first: int, count: int, *, followed: list[Citation], citations: Iterable[Citation]
) -> list[Line]:
    """Some lines of a source, from line ``first``.

    :param followed: whose words are marked
    :param citations: all of the source
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
    """Count over the whole source."""
    quoted = _carrying_lines(citations)
    carrying = lines = 0
    for number, line in enumerate(each_line(text), 1):
        if line.strip():
            lines += 1
            carrying += number in quoted
    return Coverage(carrying, lines)


def _carrying_lines(citations: Iterable[Citation]) -> set[int]:
    return {
        number
        for citation in citations
        if citation.supports
        for number in range(citation.line_from, citation.line_to + 1)
    }


def _spans(text: str, followed: Iterable[Citation]) -> dict[int, list[tuple[int, int]]]:
    """By line number, where quoted words begin and end in it. A quote that does not stand there has none."""
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
