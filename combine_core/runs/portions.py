"""Splits a long source into portions that fit a model, at headings, between blocks or between lines."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from combine_core.llm import Material
from combine_core.readers import BlockKind, read_blocks
from combine_core.settings.core import CoreSettings

# A portion ends at a heading only if it is at least half full.
_HALF = 0.5
# The line number, the bar and the line break.
_TOKENS_PER_LINE = 3
_LETTERS_PER_TOKEN = 4.0
_DIGITS_PER_TOKEN = 2.0
_TOKENS_PER_OTHER = 0.8


@dataclass(frozen=True)
class ModelLimits:
    """Limits of every call, which the operator sets. They override the limits of a line.

    :ivar timeout: seconds for one call; ``None``: the timeout of the step
    :ivar answer_tokens: maximum tokens of an answer
    :ivar context_tokens: maximum tokens of prompt and answer together; ``None``: the context of the model
    """

    timeout: float | None = None
    answer_tokens: int = 32_000
    context_tokens: int | None = None


def limits_of(settings: CoreSettings) -> ModelLimits:
    return ModelLimits(settings.model_timeout, settings.answer_tokens, settings.context_tokens)


class LineTooLong(ValueError):
    """A single line that does not fit the model. Evidence names whole lines, so the line cannot be split."""

    def __init__(self, number: int, tokens: int) -> None:
        super().__init__(f"line {number} alone has about {tokens:,} tokens")


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text with numbered lines, rather too high than too low.

    A token has about four characters of English or German text or two digits. A character of another
    script takes about one token.
    """
    return round(_tokens(text, lines=text.count("\n") + 1))


def _tokens(text: str, *, lines: int) -> float:
    plain = len(text.encode("ascii", "ignore"))
    digits = sum(text.count(digit) for digit in "0123456789")
    return (
        (plain - digits) / _LETTERS_PER_TOKEN
        + digits / _DIGITS_PER_TOKEN
        + (len(text) - plain) * _TOKENS_PER_OTHER
        + lines * _TOKENS_PER_LINE
    )


def portions_of(material: Material, max_tokens: int) -> list[Material]:
    """Split the source into portions of whole lines with at most ``max_tokens`` estimated tokens each.

    :raises LineTooLong: if a single line has more tokens
    """
    text = material.text
    if estimate_tokens(text) <= max_tokens:
        return [material]
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    costs = [
        _tokens(text[start:end], lines=1)
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True)
    ]
    blocks = material.blocks or read_blocks(text)
    places = {bisect_right(starts, block.start) - 1: block.kind for block in reversed(blocks)}
    firsts = list(_first_lines(costs, places, max_tokens))
    return [
        _lines_of(material, starts, first, end)
        for first, end in zip(firsts, [*firsts[1:], len(starts)], strict=True)
    ]


def halves_of(material: Material) -> list[Material]:
    """Split the portion in two between lines. Raise :class:`LineTooLong` if it has only one line."""
    starts = [0, *(match.end() for match in re.finditer("\n", material.text))]
    if len(starts) == 1:
        raise LineTooLong(material.first_line, estimate_tokens(material.text))
    middle = len(starts) // 2
    return [
        _lines_of(material, starts, 0, middle),
        _lines_of(material, starts, middle, len(starts)),
    ]


def _first_lines(
    costs: Sequence[float], places: dict[int, BlockKind], max_tokens: int
) -> Iterator[int]:
    """Yield the index of the first line of each portion.

    :param costs: the tokens of each line
    :param places: the kind of the block that starts in a line, by the index of the line
    """
    first = 0
    while True:
        yield first
        used, end = 0.0, first
        heading = block = 0
        while end < len(costs) and used + costs[end] <= max_tokens:
            if end > first and end in places:
                block = end
                if places[end] is BlockKind.HEADING and used >= max_tokens * _HALF:
                    heading = end
            used += costs[end]
            end += 1
        if end == len(costs):
            return
        if end == first:
            raise LineTooLong(first + 1, round(costs[first]))
        if end in places:
            block = end
        first = heading or block or end


def _lines_of(material: Material, starts: Sequence[int], first: int, end: int) -> Material:
    """Return the lines with the indexes ``first`` to ``end - 1`` of this material."""
    end_offset = starts[end] - 1 if end < len(starts) else len(material.text)
    return replace(
        material,
        text=material.text[starts[first] : end_offset],
        blocks=(),
        first_line=material.first_line + first,
    )
