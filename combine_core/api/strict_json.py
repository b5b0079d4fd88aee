"""Parses JSON strictly: it rejects bodies that two parsers could interpret differently (RFC 8259)."""

from __future__ import annotations

import json
import math
from typing import Any

from combine_core.web.problems import FieldError, ProblemError, invalid_content

MAX_VALUES = 10_000


def read_json(body: bytes) -> Any:
    """Parse a JSON body.

    :raises ProblemError: 400 if it is not JSON in UTF-8; 422 if an object has duplicate names, a number is
        not finite, a text has a lone surrogate, or there are more than ``MAX_VALUES`` values
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"is not UTF-8: invalid byte at offset {error.start}") from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_read_object,
            parse_constant=_reject_constant,
            parse_float=_read_number,
        )
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, column {error.colno}"
        raise _malformed(f"is not JSON: {error.msg} ({position})") from error
    except RecursionError as error:
        raise _malformed("is nested too deeply") from error
    except ValueError as error:
        # Python rejects integers of more than 4300 digits.
        raise invalid_content(FieldError("", "A number is too large.")) from error
    _limit_values(value)
    if "\\u" in text:
        _reject_surrogates(value)
    return value


def _limit_values(value: Any) -> None:
    # The validator creates an error for each invalid value, which takes minutes for a few megabytes.
    number = 0
    pending = [value] if isinstance(value, dict | list) else []
    while pending:
        container = pending.pop()
        values = container.values() if isinstance(container, dict) else container
        number += len(values)
        if number > MAX_VALUES:
            raise invalid_content(FieldError("", f"has more than {MAX_VALUES} values."))
        pending += [inner for inner in values if isinstance(inner, dict | list)]


def _reject_surrogates(value: Any, *path: str) -> None:
    """Reject a lone surrogate, such as ``"\\ud800"``. It can be neither validated nor stored."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            field = "/".join(name[:100] for name in path).encode(errors="replace").decode()
            message = "contains a lone surrogate, which is not a character. Send text as UTF-8."
            raise invalid_content(FieldError(field, message)) from error
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _reject_surrogates(item, *path, str(number))
    elif isinstance(value, dict):
        for name, item in value.items():
            _reject_surrogates(name, *path, name)
            _reject_surrogates(item, *path, name)


def _malformed(reason: str) -> ProblemError:
    return ProblemError(
        400,
        f"The body {reason}.",
        kind="invalid-request",
        errors=[FieldError("", f"{reason}.")],
    )


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise invalid_content(FieldError(name[:100], "appears twice in the same object."))
        values[name] = value
    return values


def _reject_constant(name: str) -> float:
    raise invalid_content(FieldError("", f"{name} is not a number in JSON."))


def _read_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise invalid_content(FieldError("", "A number is too large."))
    return number
