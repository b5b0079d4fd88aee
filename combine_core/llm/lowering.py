"""Reduces a JSON Schema to what a vendor's structured output accepts.

Unsupported keywords move into the description, where the model can read them. The answer is validated against
the full schema later.
"""

import json
from collections.abc import Mapping
from typing import Any

from combine_core.llm.completion import ProviderError

Schema = dict[str, Any]

# https://platform.openai.com/docs/guides/structured-outputs: the subset of strict mode.
_OPENAI_KEYWORDS = frozenset(
    {
        "type", "enum", "const", "anyOf", "$ref", "$defs", "properties", "required",
        "additionalProperties", "items", "description", "title", "pattern", "multipleOf", "minimum",
        "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems",
    }
)  # fmt: skip
_TYPE_KEYWORDS = frozenset({"type", "enum", "const", "anyOf", "$ref"})
_DROPPED_KEYWORDS = frozenset({"$schema", "$id", "$comment"})


def for_anthropic(schema: Mapping[str, Any]) -> Schema:
    """Reduce the schema with the SDK's `transform_schema`.

    Raises:
        ProviderError: `bad_request`, if a part of the schema has no type.
    """
    from anthropic import transform_schema

    try:
        return transform_schema(_normalise(schema))
    except (ValueError, AssertionError) as error:
        raise ProviderError(
            "bad_request", f"The schema of the answer cannot be sent to Anthropic: {error}"
        ) from error


def for_openai(schema: Mapping[str, Any]) -> tuple[Schema, bool]:
    """Return the reduced schema, and whether strict mode accepts it.

    In strict mode every property is required. An optional property that may be null becomes required. For any
    other optional property, the model would have to invent a value, so strict mode is not used.
    """
    lowered = _lower(_normalise(schema))
    return lowered, lowered.get("type") == "object" and _is_strict(lowered)


def _normalise(node: Any) -> Any:
    """Rewrite the schema with `$defs`, `anyOf` and one type per node, and drop `$schema` and `$id`."""
    if isinstance(node, list):
        return [_normalise(part) for part in node]
    if not isinstance(node, Mapping):
        return node
    result: Schema = {}
    for key, value in node.items():
        if key in _DROPPED_KEYWORDS:
            continue
        if key in {"properties", "$defs", "definitions"} and isinstance(value, Mapping):
            # These keys are names, not keywords.
            named = {name: _normalise(part) for name, part in value.items()}
            result["$defs" if key == "definitions" else key] = named
        elif key in {"enum", "const", "default", "examples"}:
            result[key] = value
        elif key == "$ref" and isinstance(value, str):
            result[key] = value.replace("#/definitions/", "#/$defs/", 1)
        else:
            result["anyOf" if key == "oneOf" else key] = _normalise(value)
    types = result.get("type")
    if isinstance(types, list):
        return _split(result, types)
    return result


def _split(node: Schema, types: list[str]) -> Schema:
    """Convert a node with several types to an `anyOf` of its types. An enum needs no type."""
    rest = {key: value for key, value in node.items() if key != "type"}
    if "enum" in rest:
        return rest
    described: Schema = {key: rest.pop(key) for key in ("description", "title") if key in rest}
    alternatives: list[Schema] = [
        {"type": kind} if kind == "null" else {**rest, "type": kind} for kind in types
    ]
    return {**described, "anyOf": alternatives}


def _lower(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    lowered: Schema = {}
    dropped: Schema = {}
    for key, value in node.items():
        if key in {"properties", "$defs"}:
            lowered[key] = {name: _lower(part) for name, part in value.items()}
        elif key == "items":
            lowered[key] = _lower(value)
        elif key == "anyOf":
            lowered[key] = [_lower(part) for part in value]
        elif key in _OPENAI_KEYWORDS:
            lowered[key] = value
        else:
            dropped[key] = value
    if lowered.get("type") == "object" or "properties" in lowered:
        lowered.setdefault("properties", {})
        lowered["additionalProperties"] = False
        required = lowered.get("required", [])
        may_be_null = [name for name, part in lowered["properties"].items() if _may_be_null(part)]
        lowered["required"] = [*required, *(name for name in may_be_null if name not in required)]
    if dropped:
        note = json.dumps(dropped, ensure_ascii=False, default=str)
        lowered["description"] = f"{lowered.get('description', '')} {note}".strip()
    return lowered


def _may_be_null(node: Any) -> bool:
    return isinstance(node, Mapping) and (
        node.get("type") == "null" or any(map(_may_be_null, node.get("anyOf", [])))
    )


def _is_strict(node: Any) -> bool:
    """Check whether each part of a reduced schema has a type and requires all of its properties."""
    if not isinstance(node, Mapping):
        return False
    properties = node.get("properties", {})
    parts = [*properties.values(), *node.get("$defs", {}).values(), *node.get("anyOf", [])]
    if "items" in node:
        parts.append(node["items"])
    elif node.get("type") == "array":
        return False
    return (
        not _TYPE_KEYWORDS.isdisjoint(node)
        and set(properties) == set(node.get("required", ()))
        and all(map(_is_strict, parts))
    )
