"""Reads the JSON Schema of an answer: resolves references, and validates values."""

from collections.abc import Mapping
from typing import Any, NoReturn

import jsonschema_rs

from combine_core.llm.completion import ProviderError

Node = dict[str, Any]

_ROOT = "urn:combine:answer"
_MAX_HOPS = 32


class AnswerSchema:
    """The schema of an answer. Raises `ProviderError` if it is invalid or refers to another one."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        # Without its id, references are relative to the schema itself.
        self.root: Node = {key: value for key, value in schema.items() if key != "$id"}
        try:
            jsonschema_rs.meta.validate(self.root)
            self._registry = jsonschema_rs.Registry([(_ROOT, self.root)], retriever=_refuse)
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise _unusable(error) from error
        self._resolver = self._registry.resolver(_ROOT)

    def resolve(self, node: Any, hops: int = _MAX_HOPS) -> Node:
        """`node` merged with its `$ref`, all of `allOf`, and one of `anyOf` or `oneOf`."""
        if not isinstance(node, Mapping) or hops == 0:
            return {}
        own: Node = dict(node)
        parts = [self._lookup(own.pop("$ref"))] if "$ref" in own else []
        parts += own.pop("allOf", [])
        alternatives = [*own.pop("anyOf", []), *own.pop("oneOf", [])]
        if alternatives:
            usable = [part for part in alternatives if not _is_null(part)]
            parts += usable[:1] or [{"type": "null"}]
            if len(usable) < len(alternatives):
                own.setdefault("default", None)
        for part in parts:
            own = _join(self.resolve(part, hops - 1), own)
        return own

    def checker(self, node: Any) -> jsonschema_rs.Validator:
        """A validator for a part of this schema."""
        try:
            return jsonschema_rs.validator_for(_absolute(node), registry=self._registry)
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise _unusable(error) from error

    def _lookup(self, reference: str) -> Any:
        try:
            return self._resolver.lookup(reference).contents
        except jsonschema_rs.ReferencingError as error:
            raise _unusable(error) from error


def _join(below: Node, above: Node) -> Node:
    """Both nodes. Where both have a keyword, `above` wins, but properties are united."""
    joined = {**below, **above}
    if "properties" in below and "properties" in above:
        joined["properties"] = {**below["properties"], **above["properties"]}
    if "required" in below and "required" in above:
        joined["required"] = [*below["required"], *above["required"]]
    return joined


def _absolute(node: Any) -> Any:
    """`node` with references that also work outside of the root."""
    if isinstance(node, Mapping):
        return {
            key: _ROOT + value
            if key == "$ref" and isinstance(value, str) and value.startswith("#")
            else _absolute(value)
            for key, value in node.items()
        }
    return [_absolute(part) for part in node] if isinstance(node, list) else node


def _is_null(node: Any) -> bool:
    return isinstance(node, Mapping) and (
        node.get("type") == "null" or ("const" in node and node["const"] is None)
    )


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is outside of the schema; put it under $defs")


def _unusable(error: Exception) -> ProviderError:
    first_line = str(error).partition("\n")[0]
    return ProviderError(
        "bad_request", f"The schema of the answer cannot be used: {first_line[:300]}."
    )
