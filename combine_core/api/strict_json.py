"""Reads JSON without guessing: what two programs could understand differently is refused (RFC 8259)."""

from __future__ import annotations

import json
import math
from typing import Any

from combine_core.api.problems import FieldError, ProblemError, invalid_content


def read_json(body: bytes) -> Any:
    """The value that ``body`` holds.

    :raises ProblemError: 400 for what is no JSON in UTF-8; 422 for a name that stands twice in an
        object, and for a number that is none
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"is not UTF-8: another byte stands at offset {error.start}") from error
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_number,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _malformed(f"is no JSON: {error.msg} ({where})") from error
    except RecursionError as error:
        raise _malformed("is nested too deeply") from error


def _malformed(why: str) -> ProblemError:
    return ProblemError(
        400,
        f"The body {why}.",
        kind="invalid-request",
        errors=[FieldError("", f"{why}.")],
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid_content(FieldError(twice[:100], "stands twice in the same object."))
    return found


def _constant(word: str) -> float:
    raise invalid_content(FieldError("", f"{word} is no number in JSON."))


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise invalid_content(FieldError("", "A number is too large."))
    return number


def _integer(digits: str) -> int:
    # Python refuses to read more than 4300 digits, with an error of its own.
    if len(digits) > 100:
        raise invalid_content(FieldError("", "A number is too large."))
    return int(digits)
