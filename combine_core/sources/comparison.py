"""Compares two revisions of a source line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

# Comparing more differing lines than this takes too long for a page.
MOST_COMPARED = 5_000
_CONTEXT = 2


@dataclass(frozen=True)
class ChangedLine:
    """A line with its number in each text; ``None`` in a text that does not contain it."""

    old: int | None
    new: int | None
    text: str


@dataclass(frozen=True)
class Comparison:
    """Passages of differing lines, with some unchanged lines around them.

    :ivar complete: whether the lines were compared; if not, there were too many, and ``passages`` is empty
    """

    passages: list[list[ChangedLine]]
    added: int
    removed: int
    complete: bool = True


def compare_texts(old: str, new: str) -> Comparison:
    """Compare two texts line by line. A line break at the end of a text is ignored."""
    before, after = (text.removesuffix("\n").split("\n") for text in (old, new))
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    middle_before = before[start : len(before) - end]
    middle_after = after[start : len(after) - end]
    if len(middle_before) + len(middle_after) > MOST_COMPARED:
        return Comparison([], len(middle_after), len(middle_before), complete=False)
    matcher = difflib.SequenceMatcher(None, middle_before, middle_after, autojunk=False)
    # Add equal lines around the middle as context of the first and the last passage.
    lead, tail = min(start, _CONTEXT), min(end, _CONTEXT)
    operations = [("equal", -lead, 0, -lead, 0), *matcher.get_opcodes()]
    ends = len(middle_before), len(middle_after)
    operations.append(("equal", ends[0], ends[0] + tail, ends[1], ends[1] + tail))
    lines = [line for operation in operations for line in _lines(operation, before, after, start)]
    return Comparison(
        list(_passages(lines)),
        added=sum(line.old is None for line in lines),
        removed=sum(line.new is None for line in lines),
    )


def _common(first: list[str], second: list[str]) -> int:
    """Count the equal lines at the beginning."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


def _lines(
    operation: tuple[str, int, int, int, int], before: list[str], after: list[str], start: int
) -> Iterator[ChangedLine]:
    kind, old, old_end, new, new_end = operation
    if kind == "equal":
        for index in range(old_end - old):
            at = start + new + index
            yield ChangedLine(start + old + index + 1, at + 1, after[at])
        return
    for index in range(start + old, start + old_end):
        yield ChangedLine(index + 1, None, before[index])
    for index in range(start + new, start + new_end):
        yield ChangedLine(None, index + 1, after[index])


def _passages(lines: list[ChangedLine]) -> Iterator[list[ChangedLine]]:
    """Group the differing lines into passages with their context."""
    near: set[int] = set()
    for index, line in enumerate(lines):
        if line.old is None or line.new is None:
            near.update(range(index - _CONTEXT, index + _CONTEXT + 1))
    passage: list[ChangedLine] = []
    for index, line in enumerate(lines):
        if index in near:
            passage.append(line)
        elif passage:
            yield passage
            passage = []
    if passage:
        yield passage
