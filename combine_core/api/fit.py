"""Says what is wrong with a request that does not fit the OpenAPI document, field by field.

The validators' own messages repeat what the client sent, megabytes of it at times; these do not.
"""

from __future__ import annotations

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

_MOST_ERRORS = 20
_MOST_LETTERS = 100


def problem_of_misfit(errors: Iterable[Exception]) -> ProblemError:
    """The problem that these errors of openapi-core are to the client."""
    parameters: list[FieldError] = []
    for error in errors:
        if isinstance(error, ParameterValidationError):
            parameters += _parameter(error)
            continue
        if parameters:
            break
        return _body(error)
    return invalid_request(*parameters[:_MOST_ERRORS])


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
        where = "/".join(str(part)[:_MOST_LETTERS] for part in error.absolute_path)  # type: ignore[attr-defined]
        for name, message in _explain(error):
            yield FieldError("/".join(filter(None, (where, name[:_MOST_LETTERS]))), message)


def _explain(error: Any) -> Iterator[tuple[str, str]]:
    """What a keyword of JSON Schema found wrong: the property (or nothing) and the message."""
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
        case keyword:
            yield "", f"does not fit: {keyword}"


def _a(what: str) -> str:
    what = {"uuid": "UUID"}.get(what, what)
    return f"an {what}" if what[0] in "aeio" else f"a {what}"
