"""Reads JSON strictly: what two programs could understand differently is refused (RFC 8259)."""

from __future__ import annotations

import json
import math
from typing import Any

from combine_core.web.problems import FieldError, ProblemError, invalid_content

MOST_VALUES = 10_000


def read_json(body: bytes) -> Any:
    """Parse a JSON body.

    :raises ProblemError: 400 if it is not JSON in UTF-8; 422 if a name stands twice in an object, a
        number is not finite, a text has half a character, or there are more than ``MOST_VALUES`` values
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"is not UTF-8: another byte stands at offset {error.start}") from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_read_object,
            parse_constant=_refuse_constant,
            parse_float=_read_number,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _malformed(f"is no JSON: {error.msg} ({where})") from error
    except RecursionError as error:
        raise _malformed("is nested too deeply") from error
    except ValueError as error:
        # Python refuses integers of more than 4300 digits.
        raise invalid_content(FieldError("", "A number is too large.")) from error
    _limit_values(value)
    if "\\u" in text:
        _refuse_halves(value)
    return value


def _limit_values(value: Any) -> None:
    # The validator makes an error for each value that does not fit: minutes for a few megabytes of them.
    number = 0
    pending = [value] if isinstance(value, dict | list) else []
    while pending:
        container = pending.pop()
        values = container.values() if isinstance(container, dict) else container
        number += len(values)
        if number > MOST_VALUES:
            raise invalid_content(FieldError("", f"has more than {MOST_VALUES} values."))
        pending += [inner for inner in values if isinstance(inner, dict | list)]


def _refuse_halves(value: Any, *place: str) -> None:
    """Refuse half of a surrogate pair, such as ``"\\ud800"``. It can be neither checked nor stored."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            where = "/".join(name[:100] for name in place).encode(errors="replace").decode()
            why = "holds half of a surrogate pair, which is no character. Send text as UTF-8."
            raise invalid_content(FieldError(where, why)) from error
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_halves(item, *place, str(number))
    elif isinstance(value, dict):
        for name, item in value.items():
            _refuse_halves(name, *place, name)
            _refuse_halves(item, *place, name)


def _malformed(why: str) -> ProblemError:
    return ProblemError(
        400,
        f"The body {why}.",
        kind="invalid-request",
        errors=[FieldError("", f"{why}.")],
    )


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise invalid_content(FieldError(name[:100], "stands twice in the same object."))
        found[name] = value
    return found


def _refuse_constant(word: str) -> float:
    raise invalid_content(FieldError("", f"{word} is no number in JSON."))


def _read_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise invalid_content(FieldError("", "A number is too large."))
    return number
