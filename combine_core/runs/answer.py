"""Parses a model's answer into JSON that fits the step's schema, or into a list of problems.

Another call costs money, so the parser corrects what it can:

- It ignores reasoning before the answer (``<think>``), Markdown fences and other text.
- It removes a comma before a closing bracket.
- ``mending`` corrects values of the wrong type.

Models often write drafts first. The parser uses the last complete object that fits the schema.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from combine_core.runs.mending import mend, validator
from combine_core.text import is_storable, shorten, shorten_middle

_MAX_PROBLEMS = 20
_MAX_QUOTED_CHARS = 200
# A text with more opening braces that do not start an object contains no answer.
_MAX_FALSE_STARTS = 100
_REASONING = "think|thinking|thought|reasoning|reflection"
_MARK = re.compile(rf"\{{|<(?P<close>/?)(?P<tag>{_REASONING})>", re.IGNORECASE)
_STRING_OR_LAST_COMMA = re.compile(r'("(?:[^"\\]|\\.)*+")|,(?=\s*[}\]])', re.DOTALL)


class UnusableAnswer(ValueError):
    """An answer that does not fit the schema. ``problems`` lists the faults for the model."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class ParsedAnswer:
    """An object that fits the schema, and the corrections that were made to the answer."""

    value: dict[str, Any]
    mends: list[str]


@dataclass
class _Candidate:
    """An object in the answer, with the faults that make its text invalid JSON."""

    value: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    mends: list[str] = field(default_factory=list)


def parse_answer(text: str, schema: dict[str, Any]) -> ParsedAnswer:
    """Return the last object in ``text`` that fits ``schema``.

    :raises UnusableAnswer: if the text contains no JSON object, or none that fits the schema
    """
    candidates, reason = _find_objects(text)
    if not candidates:
        raise UnusableAnswer([reason or "/: there is no JSON object in the answer"])
    problems_of_last: list[str] = []
    for candidate in reversed(candidates):
        if not is_storable(candidate.value):
            # The validator cannot read it either.
            candidate.faults.append("/: contains a NUL character or an unpaired surrogate")
        value, mends = (candidate.value, []) if candidate.faults else mend(candidate.value, schema)
        problems = candidate.faults or _problems(value, schema)
        if not problems:
            return ParsedAnswer(value, candidate.mends + mends)
        problems_of_last = problems_of_last or problems
    raise UnusableAnswer(problems_of_last)


def _find_objects(text: str) -> tuple[list[_Candidate], str]:
    """Return the complete objects outside of reasoning, and the last syntax error."""
    candidates: list[_Candidate] = []
    reason = ""
    false_starts = 0
    position = 0
    while mark := _MARK.search(text, position):
        position = mark.end()
        if mark["tag"] is not None:
            if mark["close"]:
                # The opening tag can be missing: some chat templates put it into the prompt.
                candidates.clear()
            else:
                position = _end_of_reasoning(text, mark["tag"], position)
            continue
        try:
            candidate, text, position = _object_at(text, mark.start())
            candidates.append(candidate)
        except (ValueError, RecursionError) as error:
            reason = f"/: the answer is not valid JSON ({shorten(str(error), _MAX_QUOTED_CHARS)})"
            # Skip the nested objects of a broken object: they are not answers.
            position = max(position, error.pos if isinstance(error, json.JSONDecodeError) else 0)
            false_starts += 1
            if false_starts > _MAX_FALSE_STARTS:
                break
    return candidates, reason


def _end_of_reasoning(text: str, tag: str, start: int) -> int:
    closing = re.compile(f"</{tag}>", re.IGNORECASE).search(text, start)
    return closing.end() if closing else len(text)


def _object_at(text: str, start: int) -> tuple[_Candidate, str, int]:
    """Return the object, the text without superfluous commas, and the end of the object in that text."""
    candidate = _Candidate()
    try:
        candidate.value, end = _decoder(candidate).raw_decode(text, start)
        return candidate, text, end
    except ValueError as error:
        broken = error
    cleaned = _STRING_OR_LAST_COMMA.sub(lambda match: match[1] or "", text[start:])
    candidate = _Candidate(mends=["/: removed a comma before a closing bracket"])
    try:
        candidate.value, end = _decoder(candidate).raw_decode(cleaned)
    except ValueError:
        raise broken from None
    return candidate, cleaned, end


def _decoder(candidate: _Candidate) -> json.JSONDecoder:
    """Make a decoder that is as lenient as Python's, and records invalid JSON as faults of ``candidate``."""

    def from_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if len(built) < len(pairs):
            names = [name for name, _ in pairs]
            duplicate = next(name for name in names if names.count(name) > 1)
            candidate.faults.append(
                f"/: the key {shorten(duplicate, _MAX_QUOTED_CHARS)!r} is repeated in one object"
            )
        return built

    def from_digits(digits: str) -> float:
        number = float(digits)
        if not math.isfinite(number):
            candidate.faults.append(f"/: {shorten(digits, _MAX_QUOTED_CHARS)} is not a JSON number")
        return number

    return json.JSONDecoder(
        object_pairs_hook=from_pairs, parse_float=from_digits, parse_constant=from_digits
    )


def _problems(value: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    return [
        f"/{'/'.join(str(part) for part in error.instance_path)}:"
        # The message begins with the value, which can be long, and ends with what is wrong with it.
        f" {shorten_middle(error.message, _MAX_QUOTED_CHARS)}"
        for error in islice(validator(schema).iter_errors(value), _MAX_PROBLEMS)
    ]


def repair_prompt(prompt: str, text: str, problems: list[str]) -> str:
    """Return the prompt with the rejected answer and its problems."""
    faults = "\n".join(f"- {problem}" for problem in problems)
    return (
        f"{prompt}\n\n---\nYou answered:\n\n{text}\n\nThis does not fit what was asked for:\n{faults}\n\n"
        "Answer again, completely and correctly."
    )
