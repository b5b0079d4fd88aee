"""Checks evidence mechanically: the quote stands in the source, or the statement is flagged."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

_WORD = re.compile(r"\S+")

QUOTE_NOT_FOUND = "quote_not_found"
UNKNOWN_SOURCE = "unknown_source"
NO_EVIDENCE = "no_evidence"


class SourceText:
    """The text of a source, prepared for finding quotes.

    White space does not count in the comparison: a quote may be wrapped elsewhere than the source is.
    Everything else does, to the letter.
    """

    def __init__(self, source_id: str, text: str) -> None:
        self.source_id = source_id
        self._text = text

    @cached_property
    def _words(self) -> tuple[str, list[int], list[tuple[int, int]]]:
        """The words joined by one space, where each begins there, and where each stands in the text."""
        spans = [match.span() for match in _WORD.finditer(self._text)]
        words = [self._text[start:end] for start, end in spans]
        starts: list[int] = []
        position = 0
        for word in words:
            starts.append(position)
            position += len(word) + 1
        return " ".join(words), starts, spans

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self._text))]

    def find(self, quote: str, near_line: int) -> tuple[int, int, str] | None:
        """Where ``quote`` stands: first line, last line (from 1), and the words as the source has them.

        Of several places the one nearest to ``near_line`` is taken. ``None`` if it stands nowhere.
        """
        wanted = " ".join(quote.split())
        if not wanted:
            return None
        # A quote of one letter stands in a million places. A thousand of them are enough.
        starts = itertools.islice(self._occurrences(wanted), 1000)
        places = (self._place(start, len(wanted)) for start in starts)
        return min(places, key=lambda place: abs(place[0] - near_line), default=None)

    def _occurrences(self, wanted: str) -> Iterator[int]:
        joined, _, _ = self._words
        start = joined.find(wanted)
        while start != -1:
            end = start + len(wanted)
            # "art" does not stand in "part".
            inside_word = (wanted[0].isalnum() and joined[start - 1 : start].isalnum()) or (
                wanted[-1].isalnum() and joined[end : end + 1].isalnum()
            )
            if not inside_word:
                yield start
            start = joined.find(wanted, start + 1)

    def _place(self, start: int, length: int) -> tuple[int, int, str]:
        _, starts, spans = self._words
        text_start = self._text_offset(start, starts, spans)
        text_end = self._text_offset(start + length - 1, starts, spans) + 1
        return (
            bisect.bisect_right(self._line_starts, text_start),
            bisect.bisect_right(self._line_starts, text_end - 1),
            self._text[text_start:text_end],
        )

    @staticmethod
    def _text_offset(offset: int, starts: list[int], spans: list[tuple[int, int]]) -> int:
        word = bisect.bisect_right(starts, offset) - 1
        return spans[word][0] + offset - starts[word]


def items_of(content: Any) -> Iterator[dict[str, Any]]:
    """Yield each item of an answer or a document: objects with a ``text`` and a list ``evidence``."""
    if isinstance(content, dict):
        if isinstance(content.get("text"), str) and isinstance(content.get("evidence"), list):
            yield content
        else:
            for value in content.values():
                yield from items_of(value)
    elif isinstance(content, list):
        for value in content:
            yield from items_of(value)


def prove(content: dict[str, Any], sources: Mapping[str, SourceText]) -> int:
    """Replace the claimed evidence of each item of ``content`` by the proven evidence, in place.

    Claimed: ``{"source": label, "line_from", "line_to", "quote"}``. Proven: ``{"source_id", "line_from",
    "line_to", "quote"}`` with the lines and the letters as the source has them. What is not proven is
    not evidence: it goes to the item's ``flags`` as ``{"code", ...}``.

    :param sources: by label
    :returns: the number of items with a flag
    """
    flagged = 0
    for item in items_of(content):
        proven: list[dict[str, Any]] = []
        flags: list[dict[str, Any]] = []
        for claim in item["evidence"]:
            source = sources.get(claim["source"])
            if source is None:
                flags.append({"code": UNKNOWN_SOURCE, "quote": claim["quote"]})
                continue
            place = source.find(claim["quote"], claim["line_from"])
            if place is None:
                flags.append(
                    {
                        "code": QUOTE_NOT_FOUND,
                        "source_id": source.source_id,
                        "quote": claim["quote"],
                    }
                )
                continue
            line_from, line_to, quote = place
            evidence = {
                "source_id": source.source_id,
                "line_from": line_from,
                "line_to": line_to,
                "quote": quote,
            }
            if evidence not in proven:
                proven.append(evidence)
        if not proven and not flags:
            flags.append({"code": NO_EVIDENCE})
        item["evidence"] = proven
        if flags:
            item["flags"] = flags
            flagged += 1
    return flagged
