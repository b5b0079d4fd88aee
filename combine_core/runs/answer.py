"""Parses a model's answer: JSON that fits the step's schema, or a list of what is wrong with it."""

from __future__ import annotations

import functools
import json
from typing import Any, NoReturn

import jsonschema_rs

_MAX_PROBLEMS = 20


class UnusableAnswer(ValueError):
    """The answer does not fit the schema. ``problems`` tells a model what to correct."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def parse_answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The answer as an object that fits ``schema``.

    A fence of Markdown or words around the object are taken off: that costs nothing, asking again does.

    :raises UnusableAnswer: no JSON, or not the shape that was asked for
    """
    answer = _read_object(text)
    problems = [
        f"/{'/'.join(str(part) for part in error.instance_path)}: {_short(error.message)}"
        for error, _ in zip(
            _validator(json.dumps(schema, sort_keys=True)).iter_errors(answer),
            range(_MAX_PROBLEMS),
            strict=False,
        )
    ]
    if not problems and not _storable(answer):
        problems = ["/: holds a NUL or half a surrogate pair, which no text has"]
    if problems:
        raise UnusableAnswer(problems)
    return answer


def _read_object(text: str) -> dict[str, Any]:
    first = text.find("{")
    if first == -1:
        raise UnusableAnswer(["/: there is no JSON object in the answer"])
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    try:
        answer, _ = decoder.raw_decode(text, first)
    except (ValueError, RecursionError) as error:
        raise UnusableAnswer([f"/: the answer is no JSON ({_short(str(error))})"]) from error
    assert isinstance(answer, dict)
    return answer


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _storable(answer: dict[str, Any]) -> bool:
    try:
        return b"\0" not in json.dumps(answer, ensure_ascii=False).encode() and (
            "\\u0000" not in json.dumps(answer)
        )
    except UnicodeEncodeError:
        return False


def _short(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:200]}..."


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    return jsonschema_rs.validator_for(json.loads(schema))


def repair_prompt(prompt: str, text: str, problems: list[str]) -> str:
    """Return the prompt again, with the rejected answer and what is wrong with it."""
    faults = "\n".join(f"- {problem}" for problem in problems)
    return (
        f"{prompt}\n\n---\nYou answered:\n\n{text}\n\nThis does not fit what was asked for:\n{faults}\n\n"
        "Answer again, completely and correctly."
    )
