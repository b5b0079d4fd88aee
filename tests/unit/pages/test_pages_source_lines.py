"""Tests the lines of a source with the quoted words in them."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.documents import Citation, DocumentVersion
from combine_core.pages.source_lines import Coverage, each_line, measure_coverage, show_lines


def citation(line_from: int, line_to: int, quote: str, verdict: str = "supported") -> Citation:
    statement: dict[str, Any] = {"text": quote, "verdict": verdict}
    version = cast("DocumentVersion", None)
    return Citation(version, "/summary/0", statement, line_from, line_to, quote)


@pytest.mark.parametrize("count", [0, 1, 40_000, 70_000])
@pytest.mark.parametrize("line", ["", "x", "some words " * 9])
def test_lines_equal_the_split_text(line: str, count: int) -> None:
    text = "\n".join([line] * count) + "\nend"
    assert list(each_line(text)) == text.split("\n")


@given(st.text(alphabet="ab \n", min_size=1, max_size=60), st.data())
def test_the_quote_is_marked_and_the_text_is_complete(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    first, last = text.count("\n", 0, start) + 1, text.count("\n", 0, end) + 1
    # The words may also appear earlier. Then the first occurrence is marked.
    lines = show_lines(text, 1, 99, followed=[citation(first, last, text[start:end])], citations=[])
    assert ["".join(words for words, _ in line.parts) for line in lines] == text.split("\n")
    marked = ["".join(words for words, marked in line.parts if marked) for line in lines]
    assert "".join(marked) == text[start:end].replace("\n", "")


def test_quotes_that_overlap_are_marked_once() -> None:
    followed = [citation(1, 1, "b c d"), citation(1, 1, "c d e"), citation(1, 1, "c")]
    [line] = show_lines("a b c d e f", 1, 1, followed=followed, citations=[])
    assert line.parts == [("a ", False), ("b c d", True), (" e", True), (" f", False)]


def test_statements_are_at_the_start_of_their_quote_or_part() -> None:
    long = citation(2, 5, "b\nc\nd\ne")
    flagged = citation(7, 7, "g", "unsupported")
    lines = show_lines("a\nb\nc\nd\ne\nf\ng", 4, 4, followed=[], citations=[long, flagged])
    assert [(line.number, line.citations, line.carries) for line in lines] == [
        (4, [long], True),
        (5, [], True),
        (6, [], False),
        (7, [flagged], False),
    ]


def test_coverage_counts_lines_with_text() -> None:
    found = [citation(1, 3, "a\n\nb"), citation(3, 3, "b"), citation(4, 4, "c", "unsupported")]
    assert measure_coverage("a\n \nb\nc\n", found) == Coverage(carrying=2, lines=3)
