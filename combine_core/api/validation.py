"""Checks requests: reads JSON strictly, and names what does not fit the OpenAPI document.

JSON that two programs could understand differently is refused (RFC 8259). The messages name the field.
Those of the validators would repeat what the client sent, up to megabytes of it; these do not.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from openapi_core.casting.schemas.exceptions import CastError
from openapi_core.deserializing.exceptions import DeserializeError
from openapi_core.templating.media_types.exceptions import MediaTypeNotFound
from openapi_core.validation.request.exceptions import (
    MissingRequiredRequestBody,
    ParameterValidationError,
)
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue

from combine_core.web.problems import FieldError, ProblemError, invalid_content, invalid_request

MOST_VALUES = 10_000
_MOST_ERRORS = 20
_MOST_CHARACTERS = 100
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def request_problem(errors: Iterable[Exception]) -> ProblemError:
    """What the client is told about these errors of openapi-core."""
    parameters: list[FieldError] = []
    for error in errors:
        if isinstance(error, ParameterValidationError):
            parameters += _parameter(error)
            continue
        if parameters:
            break
        return _body(error)
    return invalid_request(*parameters[:_MOST_ERRORS])


def refuse_unknown(query: Iterable[str], described: Iterable[Any]) -> None:
    """Refuse a query with parameters that the operation does not have.

    :param described: the parameters of the operation in the OpenAPI document
    :raises ProblemError: 400, with the name of each
    """
    known = [entry["name"] for entry in described if entry["in"] == "query"]
    unknown = [name for name in dict.fromkeys(query) if name not in known]
    if unknown:
        message = f"is not known; known are: {', '.join(known)}" if known else "is not known"
        raise invalid_request(
            *(FieldError(name[:_MOST_CHARACTERS], message) for name in unknown[:_MOST_ERRORS])
        )


def _parameter(error: ParameterValidationError) -> list[FieldError]:
    cause = error.__cause__
    if isinstance(cause, InvalidSchemaValue):
        return [FieldError(error.name, found.message) for found in _schema_errors(cause)]
    if isinstance(cause, CastError):
        return [FieldError(error.name, f"must be {_a(cause.type or 'value')}")]
    return [FieldError(error.name, "is missing or empty")]


def _body(error: Exception) -> ProblemError:
    cause = error.__cause__
    if isinstance(error, MissingRequiredRequestBody):
        return ProblemError(400, "The request has no body.", kind="invalid-request")
    if isinstance(cause, MediaTypeNotFound):
        supported = " or ".join(cause.availableMimetypes)
        return ProblemError(415, f"Send the body as {supported}, and say so in Content-Type.")
    if isinstance(cause, InvalidSchemaValue):
        found = list(dict.fromkeys(_schema_errors(cause)))
        return invalid_content(*found[:_MOST_ERRORS])
    if isinstance(cause, DeserializeError):
        return ProblemError(400, "The body cannot be read.", kind="invalid-request")
    raise error


def _schema_errors(invalid: InvalidSchemaValue) -> Iterator[FieldError]:
    for error in invalid.schema_errors:
        where = "/".join(str(part)[:_MOST_CHARACTERS] for part in error.absolute_path)  # type: ignore[attr-defined]
        for name, message in _explain(error):
            yield FieldError("/".join(filter(None, (where, name[:_MOST_CHARACTERS]))), message)


def _explain(error: Any) -> Iterator[tuple[str, str]]:
    """Yield the property that is wrong (or nothing) and the message, for one keyword of JSON Schema."""
    wanted = error.validator_value
    match error.validator:
        case "required":
            for name in wanted:
                if name not in error.instance:
                    yield name, "is missing"
        case "additionalProperties":
            known = error.schema.get("properties", {})
            for name in error.instance:
                if name not in known:
                    yield name, f"is not known; known are: {', '.join(known)}"
        case "type":
            yield "", f"must be {_a(str(wanted))}"
        case "enum":
            yield "", f"must be one of: {', '.join(map(str, wanted))}"
        case "format":
            yield "", f"must be {_a(str(wanted))}"
        case "minimum":
            yield "", f"must be at least {wanted}"
        case "maximum":
            yield "", f"must be at most {wanted}"
        case "minLength" | "minItems":
            yield "", "is empty" if wanted == 1 else f"must have at least {wanted}"
        case "maxLength":
            yield "", f"must have at most {wanted} characters"
        case "maxItems":
            yield "", f"must have at most {wanted} items"
        case "pattern":
            said = error.schema.get("description")
            yield "", f"does not fit. What fits: {said}" if said else f"must match {wanted}"
        case keyword:
            yield "", f"does not fit: {keyword}"


def is_time(value: object) -> bool:
    """Whether :func:`read_time` can read it; what is no string is no matter of the format."""
    try:
        return not isinstance(value, str) or bool(read_time(value))
    except ValueError:
        return False


def read_time(value: str) -> datetime.datetime:
    """A time with its offset (RFC 3339, 5.6).

    The readers of the library fail for some of these, such as ``2026-01-01t00:00:00z``.

    :raises ValueError: it is none
    """
    if not _TIME.fullmatch(value):
        raise ValueError("not a time of RFC 3339")
    return datetime.datetime.fromisoformat(value.upper())


def _a(what: str) -> str:
    what = {"uuid": "UUID"}.get(what, what)
    return f"an {what}" if what[0] in "aeio" else f"a {what}"


def read_json(body: bytes) -> Any:
    """Parse a JSON body.

    :raises ProblemError: 400 if it is not JSON in UTF-8; 422 if a name stands twice in an object, a
        number is not finite, or there are more than ``MOST_VALUES`` values
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
