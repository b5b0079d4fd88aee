"""A quote is found in its source, and harmless differences are repaired."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.evidence import SourceText

TEXT = "# Title\n\nThe oven stays at\n  180 °C until noon.\nBread is part of it.\nThe oven stays at home.\n"


def source() -> SourceText:
    return SourceText(TEXT)


def test_wrong_lines_are_corrected_and_the_nearest_place_is_taken() -> None:
    for near, line in ((6, 6), (1, 3)):
        place = source().find("The oven stays at", near)
        assert place is not None
        assert (place.line_from, place.line_to) == (line, line)


@pytest.mark.parametrize(
    ("written", "quote", "repairs"),
    [
        ("The “main” door – closed…", 'The "main" door - closed...', ("typography",)),
        ("The *main* door is __closed__.", "The main door is closed.", ("emphasis",)),
        ("The ex\xadten\xadsion is closed.", "The extension is closed.", ("soft_hyphen",)),
        ("Caf\xe9 is closed.", "Cafe\u0301 is closed.", ("composition",)),
        ("Cafe\u0301 is closed.", "Caf\xe9 is closed.", ("composition",)),
        ("The door is closed.", "the door is closed.", ("case",)),
        ("The door is closed.", "7| The door is closed.", ("line_number",)),
        ("The doors are all closed.", "he doors are all close", ("completed",)),
        ("It costs 2.5 million.", "5 million.", ("completed",)),
        ("It fell to -5 degrees.", "5 degrees.", ("completed",)),
        ("The non-compliant parts.", "compliant parts.", ("completed",)),
    ],
)
def test_a_harmless_difference_is_repaired_and_named(
    written: str, quote: str, repairs: tuple[str, ...]
) -> None:
    place = SourceText(written).find(quote, 1)
    assert place is not None
    assert place.repairs == repairs


@pytest.mark.parametrize(
    "quote",
    [
        "The d\u043eor is closed.",  # a Cyrillic letter
        "The do\u200bor is closed.",
        "\u202eThe door is closed.",
        "The door is … closed.",
        "The doors are closed.",
        "oor",
        " \n ",
        "",
    ],
)
def test_other_words_are_not_found(quote: str) -> None:
    assert SourceText("The door is now closed. The door is closed.").find(quote, 1) is None


def test_text_that_reads_otherwise_than_it_is_stored_is_never_evidence() -> None:
    text = "The \u202edesolc si rood\u202c."
    assert SourceText(text).find(text, 1) is None


def cuts_a_word(text: str, at: int) -> bool:
    return text[:at][-1:].isalnum() and text[at:][:1].isalnum()


@given(
    text=st.text(alphabet="ab \n\t.é", min_size=1, max_size=60),
    start=st.integers(0, 60),
    length=st.integers(1, 30),
)
def test_found_quotes_stand_literally_in_the_named_lines(
    text: str, start: int, length: int
) -> None:
    quote = text[start : start + length]
    place = SourceText(text).find(quote, 1)
    if place is None:
        # Only a blank quote, or one that cuts a word in two, may be missing from its own source.
        assert not quote.strip() or cuts_a_word(text, start) or cuts_a_word(text, start + length)
        return
    words = text[place.start : place.end]
    assert words in "\n".join(text.split("\n")[place.line_from - 1 : place.line_to])
    if not place.repairs:
        assert words.split() == quote.split()


@given(
    st.lists(st.sampled_from(["alpha", "beta,", "ü", "(d)"]), min_size=1, max_size=12), st.data()
)
def test_whole_words_of_the_source_are_always_found(words: list[str], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([" ", "\n", "\r\n", " \t\n "])).join(words)
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    assert SourceText(text).find(" ".join(words[start:end]), 1) is not None


def test_a_huge_source_and_a_quote_of_one_letter_end_soon() -> None:
    huge = SourceText("a " * 500_000)
    place = huge.find("a", 1)
    assert place is not None
    assert (place.start, place.end, place.line_from) == (0, 1, 1)
