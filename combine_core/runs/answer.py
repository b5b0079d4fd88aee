"""Parses a model's answer: JSON that fits the step's schema, or a list of what is wrong with it.

What can be put right for nothing is put right, because asking again costs money:

- Reasoning before the answer (``<think>``), a fence of Markdown and other words are taken off.
- A comma before a closing bracket is taken out.
- ``mending`` changes values that miss the schema by their form alone.

Of several objects the last complete one that fits counts: models draft first.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from combine_core.runs.mending import mend, short, validator

_MAX_PROBLEMS = 20
# A text with more opening braces that begin no object holds no answer.
_MAX_FALSE_STARTS = 100
_REASONING = "think|thinking|thought|reasoning|reflection"
_MARK = re.compile(rf"\{{|<(?P<close>/?)(?P<tag>{_REASONING})>", re.IGNORECASE)
_STRING_OR_LAST_COMMA = re.compile(r'("(?:[^"\\]|\\.)*+")|,(?=\s*[}\]])', re.DOTALL)


class UnusableAnswer(ValueError):
    """The answer does not fit the schema. ``problems`` tells a model what to correct."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class ParsedAnswer:
    """An object that fits the schema, and what was put right so that it does."""

    value: dict[str, Any]
    mends: list[str]


@dataclass
class _Found:
    """An object in the answer, with what its text has that no JSON may have."""

    value: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    mends: list[str] = field(default_factory=list)


def parse_answer(text: str, schema: dict[str, Any]) -> ParsedAnswer:
    """The last object in ``text`` that fits ``schema``.

    :raises UnusableAnswer: no JSON, or not the shape that was asked for
    """
    objects, why_not = _objects(text)
    if not objects:
        raise UnusableAnswer([why_not or "/: there is no JSON object in the answer"])
    problems_of_last: list[str] = []
    for found in reversed(objects):
        value, mends = mend(found.value, schema)
        problems = found.faults or _problems(value, schema)
        if not problems:
            return ParsedAnswer(value, found.mends + mends)
        problems_of_last = problems_of_last or problems
    raise UnusableAnswer(problems_of_last)


def _objects(text: str) -> tuple[list[_Found], str]:
    """The complete objects outside of reasoning, and why the last one is none if it is none."""
    objects: list[_Found] = []
    why_not = ""
    false_starts = 0
    position = 0
    while mark := _MARK.search(text, position):
        position = mark.end()
        if mark["tag"] is not None:
            if mark["close"]:
                # The chat template of some servers writes the opening tag into the prompt.
                objects.clear()
            else:
                position = _end_of_reasoning(text, mark["tag"], position)
            continue
        try:
            found, text, position = _object_at(text, mark.start())
            objects.append(found)
        except (ValueError, RecursionError) as error:
            why_not = f"/: the answer is no JSON ({short(str(error))})"
            # The parts of a broken object are no answers.
            position = max(position, error.pos if isinstance(error, json.JSONDecodeError) else 0)
            false_starts += 1
            if false_starts > _MAX_FALSE_STARTS:
                break
    return objects, why_not


def _end_of_reasoning(text: str, tag: str, start: int) -> int:
    closing = re.compile(f"</{tag}>", re.IGNORECASE).search(text, start)
    return closing.end() if closing else len(text)


def _object_at(text: str, start: int) -> tuple[_Found, str, int]:
    """The object, the text without the commas that were too many, and where the object ends in it."""
    found = _Found()
    try:
        found.value, end = _decoder(found).raw_decode(text, start)
        return found, text, end
    except ValueError as error:
        broken = error
    cleaned = _STRING_OR_LAST_COMMA.sub(lambda match: match[1] or "", text[start:])
    found = _Found(mends=["/: took out a comma before a closing bracket"])
    try:
        found.value, end = _decoder(found).raw_decode(cleaned)
    except ValueError:
        raise broken from None
    return found, cleaned, end


def _decoder(found: _Found) -> json.JSONDecoder:
    """Reads everything that Python takes for JSON, and notes in ``found`` what is none."""

    def from_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            found.faults.append(f"/: the key {short(twice)!r} stands twice in one object")
        return made

    def from_digits(digits: str) -> float:
        number = float(digits)
        if not math.isfinite(number):
            found.faults.append(f"/: {short(digits)} is no JSON number")
        return number

    return json.JSONDecoder(
        object_pairs_hook=from_pairs, parse_float=from_digits, parse_constant=from_digits
    )


def _problems(value: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    problems = [
        f"/{'/'.join(str(part) for part in error.instance_path)}: {short(error.message)}"
        for error in _first(validator(schema).iter_errors(value))
    ]
    if not problems and not _storable(value):
        problems = ["/: holds a NUL or half a surrogate pair, which no text has"]
    return problems


def _first(errors: Iterator[Any]) -> Iterator[Any]:
    return (error for error, _ in zip(errors, range(_MAX_PROBLEMS), strict=False))


def _storable(answer: dict[str, Any]) -> bool:
    try:
        return b"\0" not in json.dumps(answer, ensure_ascii=False).encode() and (
            "\\u0000" not in json.dumps(answer)
        )
    except UnicodeEncodeError:
        return False


def repair_prompt(prompt: str, text: str, problems: list[str]) -> str:
    """Return the prompt again, with the rejected answer and what is wrong with it."""
    faults = "\n".join(f"- {problem}" for problem in problems)
    return (
        f"{prompt}\n\n---\nYou answered:\n\n{text}\n\nThis does not fit what was asked for:\n{faults}\n\n"
        "Answer again, completely and correctly."
    )
