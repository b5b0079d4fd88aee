"""Tests that a long source is split into whole lines, at headings if possible."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from combine_core.llm import Material
from combine_core.runs.portions import LineTooLong, estimate_tokens, halves_of, portions_of


def material(text: str) -> Material:
    return Material("S1", "id", "notes.md", text)


@example(["", "", "1ä", "1111", "11111\n\n\n"], 30)
@given(st.lists(st.text("ab1 #\u00e4\n", max_size=80), max_size=30), st.integers(30, 200))
def test_parts_contain_all_lines_of_the_source(lines: list[str], most: int) -> None:
    text = "\n".join(lines)
    try:
        portions = portions_of(material(text), most)
    except LineTooLong:
        return
    assert "\n".join(portion.text for portion in portions) == text
    for portion in portions:
        assert estimate_tokens(portion.text) <= most
        number = portion.first_line - 1
        assert text.split("\n")[number] == portion.text.split("\n")[0]


SECTION = "\n\n".join(f"Sentence {number} of a section with words in it." for number in range(20))


def test_a_part_starts_at_a_heading() -> None:
    text = "\n\n".join(f"## Part {number}\n\n{SECTION}" for number in range(10))
    most = round(estimate_tokens(SECTION) * 2.4)
    portions = portions_of(material(text), most)
    assert len(portions) == 5
    assert [portion.text[:9] for portion in portions] == [f"## Part {n}" for n in range(0, 10, 2)]


def test_paragraphs_stay_complete_without_headings() -> None:
    wrapped = "\n\n".join(f"A paragraph {number}\nthat goes on here." for number in range(200))
    portions = portions_of(material(wrapped), 300)
    assert len(portions) > 5
    assert {portion.text.split(" ")[0] for portion in portions} == {"A"}


def test_a_line_above_the_limit_is_named() -> None:
    with pytest.raises(LineTooLong, match="line 3 alone has about"):
        portions_of(material("a\nb\n" + "word " * 1000 + "\nc"), 500)


def test_halves_have_their_own_line_numbers() -> None:
    first, second = halves_of(Material("S1", "id", "log", "a\nb\nc", first_line=10))
    assert [(half.text, half.first_line) for half in (first, second)] == [("a", 10), ("b\nc", 11)]
    with pytest.raises(LineTooLong):
        halves_of(first)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("The oven runs at the same heat all day long.\n" * 100, 1000, 1700),
        ("2026-11-27T10:31:22Z 10.0.3.17 200 4711\n" * 100, 1500, 2500),
        ("\u4f1a\u8b70\u306e\u8a18\u9332\n" * 100, 500, 1000),
    ],
)
def test_the_estimate_is_near_the_token_counts_of_vendors(text: str, least: int, most: int) -> None:
    assert least <= estimate_tokens(text) <= most
