"""Finds a claimed quote in a source and records the harmless differences that it repairs."""

from __future__ import annotations

import itertools
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from combine_core.language import Language, language_of
from combine_core.readers import Block, read_blocks

# A one-letter quote has a million matches. The nearest of the first thousand is good enough.
_MAX_PLACES = 1000

# A shorter quote that begins or ends within a word matches by chance.
_LEAST_CUT = 12
# The text around a quote that begins or ends within a word, a number or an amount.
_CUT_BEFORE = re.compile(r"(?:\w|[^\W\d_]-|[$€£¥+−-]|\d[.,])\Z")
_CUT_BEHIND = re.compile(r"\w(?:\w|[%°-]\w?)|\d[.,]\d")

# Characters that are invisible or that reorder the displayed text.
_HIDDEN = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_LINE_NUMBER = re.compile(r"^[ \t]*\d{1,7}[ \t]*\|[ \t]?", re.MULTILINE)

_TYPOGRAPHY = {
    **dict.fromkeys("“”„‟«»″", '"'),
    **dict.fromkeys("‘’‚‛‹›′`´", "'"),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    "…": "...",
}
_SOFT_HYPHEN = "\xad"
# Folding changes typography, soft hyphens, marks of emphasis and combining characters.
_FOLDED = re.compile(
    f"(?P<typography>[{''.join(_TYPOGRAPHY)}]|--+)|(?P<soft_hyphen>{_SOFT_HYPHEN})"
    r"|(?P<emphasis>\*+|~~|(?<![^\W_])_+(?=\w)|(?<=[^\W_])_+(?![^\W_])|\\(?=[*_~`#\[\]]))"
    r"|(?P<composition>\w[̀-ͯ]+)|(?P<space>\s+)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a quote: offsets into the text, lines counted from 1, and the codes of the repairs."""

    start: int
    end: int
    line_from: int
    line_to: int
    repairs: tuple[str, ...] = ()


class SourceText:
    """The text of a source, prepared for finding quotes.

    White space is ignored, because a quote may be wrapped differently from the source.
    """

    def __init__(self, text: str, blocks: Sequence[Block] | None = None) -> None:
        self.text = text
        self._blocks = blocks

    @cached_property
    def blocks(self) -> Sequence[Block]:
        """The blocks from a reader, or else parsed from the text."""
        return read_blocks(self.text) if self._blocks is None else self._blocks

    @property
    def read_before(self) -> Sequence[Block]:
        """The blocks from a reader, or none if no reader has parsed the text."""
        return self._blocks or ()

    @cached_property
    def language(self) -> Language:
        return language_of(self.text)

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    @cached_property
    def _spaced(self) -> _Folded:
        return _Folded(self.text, re.compile(r"(?P<space>\s+)"))

    @cached_property
    def _folded(self) -> _Folded:
        return _Folded(self.text, _FOLDED)

    def line_of(self, offset: int) -> int:
        """Return the line, counted from 1, of the character at ``offset``."""
        return bisect_right(self._line_starts, offset)

    def find(self, quote: str, near_line: int) -> Place | None:
        """Return the match of ``quote`` that is nearest to ``near_line``, or ``None``."""
        wanted = " ".join(quote.split())
        found = self._as_claimed(quote.strip(), near_line)
        if found is None:
            found = self._nearest(self._spaced, wanted, near_line)
        if found is not None:
            return None if _HIDDEN.search(self.text, *found) else self._place(*found, [])
        if _HIDDEN.search(quote):
            return None
        repairs: list[str] = []
        without_numbers = _LINE_NUMBER.sub("", quote)
        if without_numbers != quote:
            repairs.append("line_number")
        wanted = _Folded(without_numbers, _FOLDED).text.strip()
        for candidate in dict.fromkeys((wanted, _swap_case(wanted))):
            found = self._nearest(self._folded, candidate, near_line)
            if found is not None:
                repairs += _differences(without_numbers, self.text[slice(*found)])
                if candidate != wanted:
                    repairs.append("case")
                return self._place(*found, repairs)
        if len(wanted) < _LEAST_CUT:
            return None
        found = self._nearest(self._folded, wanted, near_line, whole_words=False)
        return None if found is None else self._place(*found, repairs)

    def _as_claimed(self, quote: str, line: int) -> tuple[int, int] | None:
        """Return the exact match of a quote in its claimed line, or ``None``."""
        if not quote or not 0 < line <= len(self._line_starts):
            return None
        behind = self._line_starts[line] if line < len(self._line_starts) else len(self.text)
        start = self.text.find(quote, self._line_starts[line - 1], behind + len(quote))
        end = start + len(quote)
        if not 0 <= start < behind or _inside_words(self.text, start, end):
            return None
        return start, end

    def _nearest(
        self, folded: _Folded, wanted: str, near_line: int, *, whole_words: bool = True
    ) -> tuple[int, int] | None:
        if not wanted:
            return None
        places = itertools.islice(folded.places(wanted, whole_words=whole_words), _MAX_PLACES)
        return min(places, key=lambda place: abs(self.line_of(place[0]) - near_line), default=None)

    def _place(self, start: int, end: int, repairs: list[str]) -> Place:
        if _CUT_BEFORE.search(self.text[max(0, start - 2) : start]) or _CUT_BEHIND.match(
            self.text[end - 1 : end + 2]
        ):
            repairs.append("completed")
        return Place(start, end, self.line_of(start), self.line_of(end - 1), tuple(repairs))


class _Folded:
    """A text with some characters replaced, with the original offset of each character."""

    def __init__(self, original: str, changes: re.Pattern[str]) -> None:
        pieces: list[str] = []
        # Parallel lists: an offset in the folded text, and the same place in the original.
        self._at: list[int] = [0]
        self._original: list[int] = [0]
        length = position = 0
        for match in changes.finditer(original):
            replacement = _replacement(match)
            if replacement == match[0]:
                continue
            before = original[position : match.start()]
            pieces += (before, replacement)
            length += len(before)
            if replacement:
                self._at.append(length)
                self._original.append(match.start())
            length += len(replacement)
            position = match.end()
            self._at.append(length)
            self._original.append(position)
        pieces.append(original[position:])
        self.text = "".join(pieces)
        self._end = len(original)

    def places(self, wanted: str, *, whole_words: bool) -> Iterator[tuple[int, int]]:
        """Yield the original start and end of each match of ``wanted``."""
        text = self.text
        start = text.find(wanted)
        while start != -1:
            end = start + len(wanted)
            if not (whole_words and _inside_words(text, start, end)):
                yield self._offset(start), self._offset(end - 1) + 1
            start = text.find(wanted, start + 1)

    def _offset(self, position: int) -> int:
        index = bisect_right(self._at, position) - 1
        following = self._original[index + 1] if index + 1 < len(self._original) else self._end
        return min(self._original[index] + position - self._at[index], max(following - 1, 0))


def _inside_words(text: str, start: int, end: int) -> bool:
    """Check whether a match begins or ends within a word, as "art" does in "part"."""
    return (text[max(0, start - 1) : start + 1].isalnum() and start > 0) or (
        text[end - 1 : end + 1].isalnum() and end < len(text)
    )


def _replacement(match: re.Match[str]) -> str:
    match match.lastgroup:
        case "space":
            return " "
        case "typography":
            return _TYPOGRAPHY.get(match[0], "-")
        case "composition":
            return unicodedata.normalize("NFC", match[0])
        case _:
            return ""


def _swap_case(wanted: str) -> str:
    """Return the text with its first letter in the other case."""
    first = re.search(r"[^\W\d_]", wanted)
    if first is None:
        return wanted
    return wanted[: first.start()] + first[0].swapcase() + wanted[first.end() :]


def _differences(claimed: str, found: str) -> list[str]:
    """Return the kinds of characters in which two spellings of one text differ."""

    def of(text: str, kind: str) -> list[str]:
        return [match[0] for match in _FOLDED.finditer(text) if match.lastgroup == kind]

    kinds = ("typography", "soft_hyphen", "emphasis", "composition")
    return [kind for kind in kinds if of(claimed, kind) != of(found, kind)]
