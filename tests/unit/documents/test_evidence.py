"""The quote stands in the source, or the statement is flagged."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from combine_core.documents.evidence import SourceText, items_of, prove

TEXT = "# Title\n\nThe oven stays at\n  180 °C until noon.\nBread is part of it.\nThe oven stays at home.\n"


def source() -> SourceText:
    return SourceText("id-1", TEXT)


def claim(quote: str, line_from: int = 1, line_to: int = 1, label: str = "S1") -> dict[str, object]:
    return {"source": label, "line_from": line_from, "line_to": line_to, "quote": quote}


def prove_one(*claims: dict[str, object]) -> dict[str, object]:
    item: dict[str, object] = {"text": "statement", "evidence": list(claims)}
    prove({"list": [item]}, {"S1": source()})
    return item


def test_a_quote_that_stands_there_is_evidence_with_the_source_id() -> None:
    item = prove_one(claim("Bread is part of it.", 5, 5))
    assert item["evidence"] == [
        {"source_id": "id-1", "line_from": 5, "line_to": 5, "quote": "Bread is part of it."}
    ]
    assert "flags" not in item


def test_a_quote_over_two_lines_is_found_however_it_is_wrapped() -> None:
    item = prove_one(claim("The oven stays at 180 °C until noon.", 3, 4))
    assert item["evidence"] == [
        {
            "source_id": "id-1",
            "line_from": 3,
            "line_to": 4,
            "quote": "The oven stays at\n  180 °C until noon.",
        }
    ]


def test_wrong_lines_are_corrected_and_the_nearest_place_is_taken() -> None:
    assert source().find("The oven stays at", 6) == (6, 6, "The oven stays at")
    assert source().find("The oven stays at", 1) == (3, 3, "The oven stays at")


def test_a_quote_that_stands_nowhere_is_flagged_and_no_evidence() -> None:
    item = prove_one(claim("The oven is cold.", 3, 3))
    assert item["evidence"] == []
    assert item["flags"] == [
        {"code": "quote_not_found", "source_id": "id-1", "quote": "The oven is cold."}
    ]


def test_one_good_and_one_bad_quote_keep_the_good_one_and_the_flag() -> None:
    item = prove_one(claim("Bread is part of it."), claim("Bread is whole."))
    assert len(item["evidence"]) == 1  # type: ignore[arg-type]
    assert item["flags"] == [
        {"code": "quote_not_found", "source_id": "id-1", "quote": "Bread is whole."}
    ]


def test_letters_count_to_the_letter() -> None:
    assert source().find("bread is part of it.", 5) is None


def test_half_a_word_is_no_quote() -> None:
    assert source().find("art of it", 5) is None
    assert source().find("part of i", 5) is None


def test_white_space_alone_is_no_quote() -> None:
    assert prove_one(claim(" \n "))["flags"] == [
        {"code": "quote_not_found", "source_id": "id-1", "quote": " \n "}
    ]


def test_an_unknown_source_is_flagged() -> None:
    assert prove_one(claim("Bread is part of it.", label="S9"))["flags"] == [
        {"code": "unknown_source", "quote": "Bread is part of it."}
    ]


def test_an_item_without_evidence_is_flagged() -> None:
    assert prove_one()["flags"] == [{"code": "no_evidence"}]


def test_prove_counts_the_flagged_items_wherever_they_stand() -> None:
    content = {
        "a": [{"text": "x", "evidence": [claim("Bread is part of it.")]}],
        "b": {"deep": [{"text": "y", "evidence": []}, {"text": "z", "evidence": [claim("no")]}]},
    }
    assert prove(content, {"S1": source()}) == 2
    assert [item["text"] for item in items_of(content)] == ["x", "y", "z"]


def cuts_a_word(text: str, at: int) -> bool:
    return text[:at][-1:].isalnum() and text[at:][:1].isalnum()


@given(
    text=st.text(alphabet="ab \n\t.é", min_size=1, max_size=60),
    start=st.integers(0, 60),
    length=st.integers(1, 30),
)
def test_what_is_found_stands_literally_in_the_lines_named(
    text: str, start: int, length: int
) -> None:
    quote = text[start : start + length]
    place = SourceText("id", text).find(quote, 1)
    if place is None:
        # Only a blank quote, or one that cuts a word in two, may be missing from its own source.
        assert not quote.strip() or cuts_a_word(text, start) or cuts_a_word(text, start + length)
        return
    line_from, line_to, words = place
    assert words.split() == quote.split()
    assert words in "\n".join(text.split("\n")[line_from - 1 : line_to])


@given(
    st.lists(st.sampled_from(["alpha", "beta,", "ü", "(d)"]), min_size=1, max_size=12), st.data()
)
def test_whole_words_of_the_source_are_always_found(words: list[str], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([" ", "\n", "\r\n", " \t\n "])).join(words)
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    assert SourceText("id", text).find(" ".join(words[start:end]), 1) is not None


def test_a_huge_source_and_a_quote_of_one_letter_end_soon() -> None:
    huge = SourceText("id", "a " * 500_000)
    assert huge.find("a", 1) == (1, 1, "a")


def test_prove_leaves_everything_else_alone() -> None:
    content = {
        "n": 1,
        "list": [{"text": "x", "kind": "number", "evidence": [claim("Bread is part")]}],
    }
    before = copy.deepcopy(content)
    prove(content, {"S1": source()})
    assert content["n"] == before["n"]
    assert content["list"][0]["kind"] == "number"  # type: ignore[index]
