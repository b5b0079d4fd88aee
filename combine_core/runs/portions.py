"""Cuts a long source into portions that fit a model: at headings, else between blocks, else between lines."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

from combine_core.llm import Material
from combine_core.readers import BlockKind, read_blocks

# A portion ends at a heading only if it is at least half full there.
_HALF = 0.5
# A line's number, its bar and its end.
_TOKENS_PER_LINE = 3
_LETTERS_PER_TOKEN = 4.0
_DIGITS_PER_TOKEN = 2.0
_TOKENS_PER_OTHER = 0.8


class LineTooLong(ValueError):
    """A single line does not fit. Evidence names lines, so it cannot be cut."""

    def __init__(self, number: int, tokens: int) -> None:
        super().__init__(f"line {number} alone has about {tokens:,} tokens")


def estimate_tokens(text: str) -> int:
    """About how many tokens a model takes for a text with numbered lines; rather more than too few.

    Letters of English and German have about four characters to a token, figures two, and a character of
    another script is about one token.
    """
    plain = len(text.encode("ascii", "ignore"))
    digits = sum(text.count(digit) for digit in "0123456789")
    return round(
        (plain - digits) / _LETTERS_PER_TOKEN
        + digits / _DIGITS_PER_TOKEN
        + (len(text) - plain) * _TOKENS_PER_OTHER
        + (text.count("\n") + 1) * _TOKENS_PER_LINE
    )


def portions_of(material: Material, most_tokens: int) -> list[Material]:
    """The source in portions of whole lines, each of at most ``most_tokens`` by estimate.

    :raises LineTooLong: one line alone has more
    """
    text = material.text
    if estimate_tokens(text) <= most_tokens:
        return [material]
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    costs = [
        estimate_tokens(text[start : end - 1])
        for start, end in zip(starts, [*starts[1:], len(text) + 1], strict=True)
    ]
    blocks = material.blocks or read_blocks(text)
    places = {bisect_right(starts, block.start) - 1: block.kind for block in reversed(blocks)}
    firsts = list(_first_lines(costs, places, most_tokens))
    return [
        _lines_of(material, starts, first, behind)
        for first, behind in zip(firsts, [*firsts[1:], len(starts)], strict=True)
    ]


def halves_of(material: Material) -> list[Material]:
    """The portion in two, cut between lines. Raises :class:`LineTooLong` if it has one line only."""
    starts = [0, *(match.end() for match in re.finditer("\n", material.text))]
    if len(starts) == 1:
        raise LineTooLong(material.first_line, estimate_tokens(material.text))
    middle = len(starts) // 2
    return [
        _lines_of(material, starts, 0, middle),
        _lines_of(material, starts, middle, len(starts)),
    ]


def _first_lines(
    costs: Sequence[int], places: dict[int, BlockKind], most_tokens: int
) -> Iterator[int]:
    """The line with which each portion begins, counted from 0.

    :param costs: the tokens of each line
    :param places: the kind of the block that begins in a line
    """
    first = 0
    while True:
        yield first
        used, behind = 0, first
        heading = block = 0
        while behind < len(costs) and used + costs[behind] <= most_tokens:
            if behind > first and behind in places:
                block = behind
                if places[behind] is BlockKind.HEADING and used >= most_tokens * _HALF:
                    heading = behind
            used += costs[behind]
            behind += 1
        if behind == len(costs):
            return
        if behind == first:
            raise LineTooLong(first + 1, costs[first])
        if behind in places:
            block = behind
        first = heading or block or behind


def _lines_of(material: Material, starts: Sequence[int], first: int, behind: int) -> Material:
    """The lines from ``first`` to before ``behind``, counted from 0 in this text."""
    end = starts[behind] - 1 if behind < len(starts) else len(material.text)
    return replace(
        material,
        text=material.text[starts[first] : end],
        blocks=(),
        first_line=material.first_line + first,
    )
