"""Reads JSON without guessing: what two programs could understand differently is refused (RFC 8259)."""

from __future__ import annotations

import json
import math
from typing import Any

from combine_core.web.problems import FieldError, ProblemError, invalid_content

MOST_VALUES = 10_000


def read_json(body: bytes) -> Any:
    """The value that ``body`` holds.

    :raises ProblemError: 400 for what is no JSON in UTF-8; 422 for a name that stands twice in an
        object, for a number that is none, and for more than ``MOST_VALUES`` values
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"is not UTF-8: another byte stands at offset {error.start}") from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_number,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _malformed(f"is no JSON: {error.msg} ({where})") from error
    except RecursionError as error:
        raise _malformed("is nested too deeply") from error
    except ValueError as error:
        # Python reads no whole number of more than 4300 digits.
        raise invalid_content(FieldError("", "A number is too large.")) from error
    _check_number(value)
    return value


def _check_number(value: Any) -> None:
    # Each value that does not fit costs the validator an error: a few megabytes of them, minutes.
    number = 0
    pending = [value] if isinstance(value, dict | list) else []
    while pending:
        container = pending.pop()
        values = container.values() if isinstance(container, dict) else container
        number += len(values)
        if number > MOST_VALUES:
            raise invalid_content(FieldError("", f"has more than {MOST_VALUES} values."))
        pending += [inner for inner in values if isinstance(inner, dict | list)]


def _malformed(why: str) -> ProblemError:
    return ProblemError(
        400,
        f"The body {why}.",
        kind="invalid-request",
        errors=[FieldError("", f"{why}.")],
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise invalid_content(FieldError(name[:100], "stands twice in the same object."))
        found[name] = value
    return found


def _constant(word: str) -> float:
    raise invalid_content(FieldError("", f"{word} is no number in JSON."))


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise invalid_content(FieldError("", "A number is too large."))
    return number
