"""A model's answer fits the schema, or it is said where it does not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.runs.answer import UnusableAnswer, parse_answer

SCHEMA = {
    "type": "object",
    "required": ["a"],
    "additionalProperties": False,
    "properties": {"a": {"type": "array", "items": {"type": "string"}}},
}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ["x"]}',
        '```json\n{"a": ["x"]}\n```',
        'Here you are:\n\n{"a": ["x"]}\n\nAnything else?',
        '\ufeff {"a": ["x"]} {"a": 1}',
    ],
)
def test_words_around_the_object_do_not_matter(text: str) -> None:
    assert parse_answer(text, SCHEMA) == {"a": ["x"]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        ('{"a": [', "no JSON"),
        ('{"a": [1]}', "/a/0"),
        ('{"b": []}', "/: "),
        ('{"a": [NaN]}', "NaN"),
        (r'{"a": ["\ud800"]}', "surrogate"),
        (r'{"a": ["\u0000"]}', "NUL"),
        ("{" * 100_000, "no JSON"),
        ('{"a":' * 100_000, "no JSON"),
    ],
)
def test_what_does_not_fit_is_named(text: str, problem: str) -> None:
    with pytest.raises(UnusableAnswer) as caught:
        parse_answer(text, SCHEMA)
    assert problem in str(caught.value)


def test_a_thousand_faults_are_not_listed() -> None:
    text = json.dumps({"a": list(range(1000))})
    with pytest.raises(UnusableAnswer) as caught:
        parse_answer(text, SCHEMA)
    assert len(caught.value.problems) == 20


@given(st.text())
def test_rubbish_is_unusable_and_nothing_else(text: str) -> None:
    try:
        answer = parse_answer(text, SCHEMA)
    except UnusableAnswer:
        return
    assert isinstance(answer["a"], list)
