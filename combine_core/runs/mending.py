"""Corrects values that miss a schema only by their form: "15" for 15, an unknown key, a text for an object.

A correction never invents or drops a statement. An answer that still does not fit stays unchanged.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Sequence
from typing import Any

import jsonschema_rs

from combine_core.text import shorten

# A correction can reveal faults in the corrected value, which the next round corrects.
_ROUNDS = 8
_WHOLE = re.compile(r"\s*-?(?:0|[1-9][0-9]{0,17})\s*")
_NUMBER = re.compile(r"\s*-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?\s*")
_SWITCHES = {"true": True, "false": False}
_UNKNOWN_KEYS = ("additionalProperties", "unevaluatedProperties")

Path = Sequence[str | int]


def mend(value: dict[str, Any], schema: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a copy that fits the schema, with the corrections; else return ``value`` unchanged."""
    check = validator(schema)
    if check.is_valid(value):
        return value, []
    mended = _Mended(copy.deepcopy(value))
    for _ in range(_ROUNDS):
        changed = [mended.change(error) for error in check.iter_errors(mended.value)]
        if not any(changed):
            break
        if check.is_valid(mended.value):
            return mended.value, mended.changes
    return value, []


def validator(schema: dict[str, Any]) -> Any:
    return _validator(json.dumps(schema, sort_keys=True))


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    return jsonschema_rs.validator_for(json.loads(schema))


class _Mended:
    """An answer that is being corrected, with the list of corrections."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value
        self.changes: list[str] = []
        # The paths of objects that were made from texts. Their key "text" must not be dropped as unknown.
        self._made: set[tuple[str | int, ...]] = set()

    def change(self, error: Any) -> bool:
        """Correct the value that caused this validation error. Return whether that was possible."""
        try:
            return self._change(error.instance_path, error.kind)
        except (KeyError, IndexError):
            return False  # another correction of this round removed the value

    def _change(self, path: Path, kind: Any) -> bool:
        if kind.name in _UNKNOWN_KEYS:
            return self._drop_keys(path, kind.unexpected)
        if kind.name == "required" and tuple(path) in self._made and kind.property == "evidence":
            # A plain text has no evidence, and its statement is judged without any.
            self._at(path)["evidence"] = []
            return True
        return kind.name == "type" and bool(path) and self._retype(path, kind.types)

    def _drop_keys(self, path: Path, keys: Sequence[str]) -> bool:
        parent: dict[str, Any] = self._at(path)
        if tuple(path) in self._made or len(keys) == len(parent):
            return False  # the whole content would be lost
        for key in keys:
            del parent[key]
            self._note(path, f"dropped the unknown key {key!r}")
        return True

    def _retype(self, path: Path, types: Sequence[str]) -> bool:
        parent: Any = self._at(path[:-1])
        last, value = path[-1], self._at(path)
        match value:
            case str() if "integer" in types and _WHOLE.fullmatch(value):
                parent[last] = int(value)
            case str() if "number" in types and _NUMBER.fullmatch(value):
                parent[last] = float(value) if "." in value else int(value)
            case str() if "boolean" in types and value.lower() in _SWITCHES:
                parent[last] = _SWITCHES[value.lower()]
            case bool():
                return False
            case int() if "string" in types:
                parent[last] = str(value)
            case str() if "object" in types:
                parent[last] = {"text": value}
                self._made.add(tuple(path))
            case dict() if "array" in types:
                parent[last] = [value]
            case None if isinstance(last, str):
                del parent[last]
            case _:
                return False
        self._note(path, f"converted {shorten(json.dumps(value), 200)} to {' or '.join(types)}")
        return True

    def _at(self, path: Path) -> Any:
        value: Any = self.value
        for part in path:
            value = value[part]
        return value

    def _note(self, path: Path, change: str) -> None:
        self.changes.append(f"/{'/'.join(map(str, path))}: {change}")
