"""Tests that a reply of a model matches the schema, or the mismatch is named."""

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
        '\ufeff {"a": ["x"]} {"b": 1}',
        '{"a": ["draft"]} No, better:\n{"a": ["x"]}',
        'Take {this} or {that}: {"a": ["x"]}',
        '<think>Perhaps {"a": ["draft"]}.</think>{"a": ["x"]}',
        '<THINKING>\n{"a": ["draft"]}\n</THINKING>\n\n```json\n{"a": ["x"]}\n```',
        # The opening tag was part of the prompt.
        'Perhaps {"a": ["draft"]}.\n</think>\n{"a": ["x"]}',
        '{"a": ["x"]}\n<think>Should I have said {"a": ["y"]}?',
        '{"a": ["x",],}',
        '{"a": ["x"]} {"a": ["y"], "a": ["z"]}',
    ],
)
def test_text_around_the_object_is_ignored(text: str) -> None:
    assert parse_answer(text, SCHEMA).value == {"a": ["x"]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        ('{"a": [', "not valid JSON"),
        ('{"a": [[]]}', "/a/0"),
        ('{"b": []}', "/: "),
        ('{"a": [NaN]}', "NaN"),
        (r'{"a": ["\ud800"]}', "surrogate"),
        (r'{"a": ["\u0000"]}', "NUL"),
        (r'{"a": [1, "\ud800"]}', "surrogate"),
        (r'{"a": [], "b": "\ud800"}', "surrogate"),
        (r'{"a": [], "\ud800": 1}', "surrogate"),
        ('<think>Perhaps {"a": ["draft"]}.', "no JSON object"),
        ('{"a": ["draft"]}</think>I cannot say.', "no JSON object"),
        ('{"a": ["x"], "a": ["y"]}', "the key 'a' is repeated"),
        ('{"a": [1e999]}', "1e999"),
        ('{"a": "' + "x" * 1000 + '"}', 'is not of type "array"'),
        ('{"a": ["x"], "b": {"a": ["part of a broken object"]}', "not valid JSON"),
        ("{" * 100_000, "not valid JSON"),
        ('{"a":' * 100_000, "not valid JSON"),
    ],
)
def test_mismatches_are_named(text: str, problem: str) -> None:
    with pytest.raises(UnusableAnswer) as caught:
        parse_answer(text, SCHEMA)
    assert problem in str(caught.value)


def test_the_list_of_mismatches_is_limited() -> None:
    text = json.dumps({"a": [[]] * 1000})
    with pytest.raises(UnusableAnswer) as caught:
        parse_answer(text, SCHEMA)
    assert len(caught.value.problems) == 20


@given(st.text())
def test_garbage_is_unusable(text: str) -> None:
    try:
        answer = parse_answer(text, SCHEMA)
    except UnusableAnswer:
        return
    assert isinstance(answer.value["a"], list)


ITEMS = {
    "type": "object",
    "required": ["items"],
    "additionalProperties": False,
    "properties": {
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        "share": {"type": "number"},
        "final": {"type": "boolean"},
        "note": {"type": "string"},
    },
    "$defs": {
        "item": {
            "type": "object",
            "required": ["text", "evidence"],
            "additionalProperties": False,
            "properties": {
                "text": {"type": "string"},
                "line": {"type": ["integer", "null"]},
                "evidence": {"type": "array"},
            },
        }
    },
}


@pytest.mark.parametrize(
    ("said", "mended", "change"),
    [
        (
            {"items": [{"text": "t", "line": "15", "evidence": []}]},
            {"items": [{"text": "t", "line": 15, "evidence": []}]},
            '/items/0/line: converted "15" to null or integer',
        ),
        ({"items": [], "share": "1.5"}, {"items": [], "share": 1.5}, "number"),
        ({"items": [], "final": "True"}, {"items": [], "final": True}, "boolean"),
        ({"items": [], "note": 12}, {"items": [], "note": "12"}, "string"),
        ({"items": [], "note": None}, {"items": []}, "converted null to string"),
        ({"items": [], "sure": "yes"}, {"items": []}, "dropped the unknown key 'sure'"),
        (
            {"items": {"text": "t", "evidence": []}},
            {"items": [{"text": "t", "evidence": []}]},
            "array",
        ),
        ({"items": ["t"]}, {"items": [{"text": "t", "evidence": []}]}, 'converted "t" to object'),
    ],
)
def test_harmless_mismatches_are_repaired_and_reported(
    said: object, mended: object, change: str
) -> None:
    answer = parse_answer(json.dumps(said), ITEMS)
    assert answer.value == mended
    assert len(answer.mends) == 1
    assert change in answer.mends[0]


@pytest.mark.parametrize(
    "said",
    [
        {"items": [{"text": "t", "line": "about 15", "evidence": []}]},
        {"items": [{"text": "t"}]},
        {"items": [], "note": True},
        {"items": [], "note": ["t"]},
        {"statements": []},
    ],
)
def test_repairs_neither_invent_nor_lose_data(said: object) -> None:
    with pytest.raises(UnusableAnswer):
        parse_answer(json.dumps(said), ITEMS)


def test_a_text_is_not_an_item_if_items_have_no_text() -> None:
    item = {"type": "object", "additionalProperties": False, "properties": {"words": {}}}
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": item}}}
    with pytest.raises(UnusableAnswer):
        parse_answer('{"a": ["t"]}', schema)


def test_a_valid_reply_is_not_changed() -> None:
    answer = parse_answer('{"items": [], "note": "<think> is a tag"}', ITEMS)
    assert answer.value["note"] == "<think> is a tag"
    assert answer.mends == []
