"""Tests that schemas are reduced to the keywords of each vendor, and the rest is described in words."""

import json

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from combine_core.lines import find_line
from combine_core.llm import ProviderError
from combine_core.llm.lowering import for_anthropic, for_openai

PERSON = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.org/person",
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 2, "description": "Who it is."},
        "age": {"type": ["integer", "null"], "minimum": 0},
        "tags": {"type": "array", "items": {"$ref": "#/definitions/tag"}, "uniqueItems": True},
    },
    "definitions": {"tag": {"oneOf": [{"type": "string"}, {"const": 7}]}},
}


def objects_in(node):
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield node
        for part in node.values():
            yield from objects_in(part)
    elif isinstance(node, list):
        for part in node:
            yield from objects_in(part)


@pytest.mark.parametrize("step", ["facts", "brief"])
def test_the_line_brief_works_with_both_vendors(step):
    schema = find_line("brief").step(step).answer_schema

    lowered, strict = for_openai(schema)

    assert strict is True
    for each in (lowered, for_anthropic(schema)):
        jsonschema_rs.meta.validate(each)
        assert all(found["additionalProperties"] is False for found in objects_in(each))
    assert schema == find_line("brief").step(step).answer_schema, (
        "the schema itself must not change"
    )


def test_anthropic_gets_one_type_per_node():
    lowered = for_anthropic(PERSON)

    assert "$schema" not in lowered
    assert "$id" not in lowered
    assert "minLength: 2" in lowered["properties"]["name"]["description"]
    assert [part["type"] for part in lowered["properties"]["age"]["anyOf"]] == ["integer", "null"]
    assert lowered["properties"]["tags"]["items"] == {"$ref": "#/$defs/tag"}
    assert lowered["$defs"]["tag"]["anyOf"][1] == {"const": 7}


def test_openai_keeps_known_keywords():
    lowered, _ = for_openai(PERSON)

    assert "minLength" not in lowered["properties"]["name"]
    assert lowered["properties"]["name"]["description"] == 'Who it is. {"minLength": 2}'
    assert lowered["properties"]["age"]["anyOf"][0]["minimum"] == 0
    assert "uniqueItems" in lowered["properties"]["tags"]["description"]


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, True),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, False),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, False),
        ({"type": "object", "properties": {"a": {"type": "array"}}, "required": ["a"]}, False),
        ({"type": "array", "items": {"type": "string"}}, False),
        (PERSON, False),
    ],
)
def test_strict_mode_needs_every_property_required(schema, strict):
    assert for_openai(schema)[1] is strict


def test_properties_may_have_names_of_keywords():
    schema = {
        "type": "object",
        "required": ["enum", "oneOf", "items", "$id"],
        "properties": {
            "enum": {"type": "string"},
            "oneOf": {"type": "integer"},
            "items": {"type": "array", "items": {"type": "string"}},
            "$id": {"type": "string"},
        },
    }

    assert set(for_openai(schema)[0]["properties"]) == set(schema["required"])
    assert set(for_anthropic(schema)["properties"]) == set(schema["required"])


def test_a_node_without_a_type_cannot_be_sent_to_anthropic():
    with pytest.raises(ProviderError) as caught:
        for_anthropic({"type": "object", "properties": {"a": {"minimum": 3}}})

    assert caught.value.code == "bad_request"


leaf = st.sampled_from(
    [
        {"type": "string", "maxLength": 4},
        {"type": ["number", "null"], "maximum": 9},
        {"enum": ["a", None, 3]},
        {"const": "x"},
        {"type": "boolean", "description": "yes or no"},
        {"$ref": "#/$defs/shared"},
    ]
)
nodes = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.builds(lambda part: {"type": "array", "items": part, "maxItems": 3}, inner),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(
            lambda parts: {"type": "object", "properties": parts, "required": list(parts)}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"oneOf": parts}),
    ),
    max_leaves=12,
)


@given(nodes)
def test_any_schema_is_reduced_to_a_schema(node):
    schema = {
        "type": "object",
        "properties": {"root": node},
        "required": ["root"],
        "$defs": {"shared": {"type": "string", "minLength": 1}},
    }
    before = json.dumps(schema)

    for lowered in (for_openai(schema)[0], for_anthropic(schema)):
        jsonschema_rs.meta.validate(lowered)
        assert all(found["additionalProperties"] is False for found in objects_in(lowered))
    assert json.dumps(schema) == before
