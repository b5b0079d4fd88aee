"""Every statement of an answer is judged, whatever its fields are called."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.evidence import (
    SourceText,
    can_hold_statements,
    judge_answer,
    reason_in_words,
    repair_in_words,
)
from combine_core.evidence.reasons import REASONS, REPAIRS

TEXT = "# Notes\n\nTom: I will call the vendor before 3 May.\nAnna: The pilot costs 900 euros."
TOM = {
    "source": "S1",
    "line_from": 3,
    "line_to": 3,
    "quote": "I will call the vendor before 3 May.",
}
ANNA = {"source": "S1", "line_from": 4, "line_to": 4, "quote": "The pilot costs 900 euros."}


def judged(*statements: dict[str, Any]) -> list[dict[str, Any]]:
    answer = copy.deepcopy({"title": "kept", "list": list(statements)})
    judge_answer(answer, {"S1": SourceText(TEXT)})
    assert answer["title"] == "kept"
    return answer["list"]  # type: ignore[return-value]


def test_the_counts_and_the_places_of_statements() -> None:
    answer = {
        "a": [{"text": "The pilot costs 900 euros.", "evidence": [ANNA]}],
        "b": {
            "deep": [
                {"text": "It rains.", "evidence": []},
                {"text": "It rains.", "evidence": [ANNA]},
            ]
        },
    }
    support = judge_answer(answer, {"S1": SourceText(TEXT)})
    assert support.as_json() == {"supported": 1, "repaired": 0, "unsupported": 2}
    assert support.carried == 1


def test_a_quote_that_stands_gets_the_letters_and_lines_of_the_source() -> None:
    (statement,) = judged(
        {
            "text": "The pilot costs 900 euros.",
            "evidence": [
                {**ANNA, "line_from": 99, "line_to": 99, "quote": "the pilot costs 900 euros"}
            ],
        }
    )
    assert statement["evidence"] == [{**ANNA, "quote": "The pilot costs 900 euros"}]
    assert statement["verdict"] == "repaired"
    assert statement["repairs"] == ["case", "lines"]
    assert statement["reasons"] == []


@pytest.mark.parametrize("change", ["", "and", "of pumps"])
def test_a_long_statement_is_supported_only_word_for_word(change: str) -> None:
    sentence = f"The pilot costs 900 euros {'for pumps and pipes ' * 110}in May."
    quote = {**ANNA, "line_from": 1, "line_to": 1, "quote": sentence}
    text = f"{sentence[:-1]} {change}." if change else sentence
    answer = {"facts": [{"text": text, "evidence": [quote]}]}
    assert len(text) > 2000

    support = judge_answer(answer, {"S1": SourceText(sentence)})
    assert support.as_json()["unsupported"] == bool(change)
    assert answer["facts"][0]["reasons"] == (["not_covered"] if change else [])


def test_a_quote_that_does_not_stand_is_no_evidence() -> None:
    (statement,) = judged({"text": "It rains.", "evidence": [{**ANNA, "quote": "It rains."}]})
    assert statement["evidence"] == []
    assert statement["reasons"] == ["quote_not_found"]


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"owner": "Tom", "due": "3 May"}, "supported"),
        ({"owner": "Tom", "due": "2026-05-03"}, "unsupported"),
        ({"owner": "Anna"}, "unsupported"),
        ({"kind": "action"}, "supported"),
        ({"owner": None, "done": False}, "supported"),
    ],
)
def test_each_further_field_has_to_stand_there(fields: dict[str, Any], verdict: str) -> None:
    (statement,) = judged(
        {"text": "Tom will call the vendor before 3 May.", **fields, "evidence": [TOM]}
    )
    assert statement["verdict"] == verdict


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"label": "The pilot costs", "value": 900, "unit": "euros"}, "supported"),
        ({"label": "The pilot costs", "value": 9000, "unit": "euros"}, "unsupported"),
        ({"a": "The pilot", "b": "costs 900 euros"}, "supported"),
    ],
)
def test_a_statement_without_a_text_is_what_its_fields_say(
    fields: dict[str, Any], verdict: str
) -> None:
    (statement,) = judged({**fields, "evidence": [ANNA]})
    assert statement["verdict"] == verdict


def test_fields_are_scraps_by_nature() -> None:
    quote = "In the north, the outage of the old network lasted 45 minutes."
    answer = {
        "label": "North network lasted",
        "value": 45,
        "unit": "minutes",
        "evidence": [{"source": "S1", "line_from": 1, "line_to": 1, "quote": quote}],
    }
    assert judge_answer(answer, {"S1": SourceText(quote)}).supported == 1


def test_a_verdict_of_the_model_itself_does_not_count() -> None:
    (statement,) = judged(
        {
            "text": "It rains.",
            "verdict": "supported",
            "reasons": [],
            "repairs": ["x"],
            "evidence": [],
        }
    )
    assert statement == {
        "text": "It rains.",
        "verdict": "unsupported",
        "reasons": ["no_evidence"],
        "evidence": [],
    }


def test_schemas_that_hold_statements() -> None:
    statement = {"type": "object", "properties": {"text": {}, "evidence": {"type": "array"}}}
    assert can_hold_statements({"properties": {"facts": {"items": statement}}})
    assert not can_hold_statements({"properties": {"title": {"type": "string"}}})


def test_every_code_has_words() -> None:
    assert all(reason_in_words(code).endswith(".") for code in REASONS)
    assert all(repair_in_words(code) for code in REPAIRS)
    assert reason_in_words("of_a_later_version") == "Reason: of_a_later_version."


def test_the_documentation_names_every_code() -> None:
    page = (Path(__file__).parents[3] / "docs" / "evidence.md").read_text("utf-8")
    for code, words in (REASONS | REPAIRS).items():
        assert f"| `{code}` | {words} |" in page


@given(statement=st.text(max_size=80), source=st.text(max_size=200), quote=st.text(max_size=60))
def test_any_text_gets_a_verdict(statement: str, source: str, quote: str) -> None:
    claim = {"source": "S1", "line_from": 1, "line_to": 1, "quote": quote}
    answer = {"items": [{"text": statement, "evidence": [claim]}]}
    support = judge_answer(answer, {"S1": SourceText(source)})
    assert support.supported + support.repaired + support.unsupported == 1
    assert set(answer["items"][0]["reasons"]) <= set(REASONS)  # type: ignore[call-overload]


def test_a_statement_that_is_copied_from_a_judged_answer_needs_no_source() -> None:
    facts = {
        "facts": [{"text": "The pilot costs 900 euros.", "kind": "number", "evidence": [ANNA]}]
    }
    judge_answer(facts, {"S1": SourceText(TEXT)})
    brief = {"numbers": [{"text": "The pilot costs 900 euros.", "evidence": [ANNA]}]}
    judge_answer(brief, {}, {"facts": facts})
    assert brief["numbers"][0]["verdict"] == "supported"


def test_a_statement_that_several_sources_make_needs_no_source_either() -> None:
    said = {"text": "The pilot costs 900 euros.", "evidence": [ANNA]}
    other = {**said, "evidence": [{**ANNA, "source": "S2"}]}
    facts = {"facts": [said, other]}
    judge_answer(facts, {"S1": SourceText(TEXT), "S2": SourceText(TEXT)})
    brief = {"numbers": [{**said, "evidence": [*said["evidence"], *other["evidence"]]}]}
    judge_answer(brief, {}, {"facts": facts})
    assert brief["numbers"][0]["verdict"] == "supported"


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "The pilot costs 800 euros."},
        {"owner": "Ben"},
        {"evidence": [{**ANNA, "quote": "The pilot costs 800 euros."}]},
    ],
)
def test_a_statement_that_differs_from_a_judged_one_is_judged(changed: dict[str, Any]) -> None:
    sources = {"S1": SourceText(TEXT)}
    facts = {"facts": [{"text": "The pilot costs 900 euros.", "evidence": [ANNA]}]}
    judge_answer(facts, sources)
    brief = {"numbers": [{**facts["facts"][0], **changed}]}
    judge_answer(brief, sources, {"facts": facts})
    assert brief["numbers"][0]["verdict"] == "unsupported"


def test_an_unsupported_statement_that_is_copied_stays_unsupported() -> None:
    sources = {"S1": SourceText(TEXT)}
    facts = {"facts": [{"text": "It rains.", "evidence": [ANNA]}]}
    judge_answer(facts, sources)
    brief = copy.deepcopy(facts)
    judge_answer(brief, sources, {"facts": facts})
    assert brief["facts"][0]["verdict"] == "unsupported"
