"""Puts right what misses a schema by its form alone: "15" for 15, a key too many, a text for an item.

Nothing is invented and no statement is lost. If the answer does not fit after that, it stays as it was.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Sequence
from typing import Any

import jsonschema_rs

# Each round can uncover faults inside of what the round before has put right.
_ROUNDS = 8
_WHOLE = re.compile(r"\s*-?(?:0|[1-9][0-9]{0,17})\s*")
_NUMBER = re.compile(r"\s*-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?\s*")
_SWITCHES = {"true": True, "false": False}
_UNKNOWN_KEYS = ("additionalProperties", "unevaluatedProperties")

Path = Sequence[str | int]


def mend(value: dict[str, Any], schema: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A copy that fits the schema, with what was changed; or ``value`` itself and nothing."""
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


def short(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:200]}..."


class _Mended:
    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value
        self.changes: list[str] = []
        # Objects that were made of a text. Their text must not go as a key too many.
        self._made: set[tuple[str | int, ...]] = set()

    def change(self, error: Any) -> bool:
        """Put right what this error of the validator is about, and return whether that was possible."""
        try:
            return self._change(error.instance_path, error.kind)
        except (KeyError, IndexError):
            return False  # another change of this round has removed the place

    def _change(self, path: Path, kind: Any) -> bool:
        if kind.name in _UNKNOWN_KEYS:
            return self._drop_keys(path, kind.unexpected)
        if kind.name == "required" and tuple(path) in self._made and kind.property == "evidence":
            # A bare text cites nothing; its statement is judged as such.
            self._at(path)["evidence"] = []
            return True
        return kind.name == "type" and bool(path) and self._retype(path, kind.types)

    def _drop_keys(self, path: Path, keys: Sequence[str]) -> bool:
        parent: dict[str, Any] = self._at(path)
        if tuple(path) in self._made or len(keys) == len(parent):
            return False  # nothing of what was said would be left
        for key in keys:
            del parent[key]
            self._note(path, f"left out the key {key!r}, which nobody asked for")
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
        self._note(path, f"took {short(json.dumps(value))} as {' or '.join(types)}")
        return True

    def _at(self, path: Path) -> Any:
        value: Any = self.value
        for part in path:
            value = value[part]
        return value

    def _note(self, path: Path, what: str) -> None:
        self.changes.append(f"/{'/'.join(map(str, path))}: {what}")
