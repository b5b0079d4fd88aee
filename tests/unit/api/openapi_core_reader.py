"""Reads requests with openapi-core, to compare the results with the compiled operations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema_path import SchemaPath
from openapi_core.casting.schemas.exceptions import CastError
from openapi_core.templating.media_types.exceptions import MediaTypeNotFound
from openapi_core.unmarshalling.request import V30RequestUnmarshaller
from openapi_core.validation.request.exceptions import (
    MissingRequiredRequestBody,
    ParameterValidationError,
)
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue

from combine_core.api.responses import DescribedRequest
from combine_core.api.schemas import read_time, with_article
from combine_core.api.strict_json import read_json
from combine_core.web.problems import FieldError, ProblemError, invalid_content, invalid_request


class OpenApiCoreReader(V30RequestUnmarshaller):
    """Reads a request as the API description defines it."""

    def __init__(self, document):
        super().__init__(
            SchemaPath.from_dict(document),
            extra_media_type_deserializers={"application/json": read_json},
            extra_format_validators={"date-time": is_time},
            extra_format_unmarshallers={"date-time": read_time},
        )

    def _find_path(self, request: Any) -> Any:
        method = "get" if request.method == "head" else request.method
        return self.path_finder.find(method, request.request.matched_route.pattern)

    def read(self, request: Any) -> Any:
        """Return the parameters and the body. Raise :class:`ProblemError` with every error."""
        result = super().unmarshal(DescribedRequest(request))
        if result.errors:
            raise request_problem(result.errors)
        return result

    def _get_security(self, parameters: Any, operation: Any) -> dict[str, str]:
        # The security policy and the route factories decide who may send this request.
        return {}

    def _get_parameters(self, parameters: Any, operation: Any, path: Any) -> Any:
        if parameters.query:
            described = [*operation.get("parameters", ()), *path.get("parameters", ())]
            refuse_unknown(parameters.query, described)
        return super()._get_parameters(parameters, operation, path)

    def _get_body(self, body: bytes | None, mimetype: str, operation: Any) -> Any:
        media_type = mimetype.partition(";")[0].strip().lower()
        if media_type == "multipart/form-data" and "requestBody" in operation:
            content = operation / "requestBody" / "content"
            if media_type in content:
                # Its parts are bytes, which combine_core.api.sources reads.
                return None
        return super()._get_body(body, media_type, operation)


def is_time(value: object) -> bool:
    try:
        return not isinstance(value, str) or bool(read_time(value))
    except ValueError:
        return False


_MOST_ERRORS = 20
_MOST_CHARACTERS = 100


def request_problem(errors: Iterable[Exception]) -> ProblemError:
    """Return the problem document for these errors of openapi-core."""
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
    """Reject a query with parameters that the operation does not have.

    :param described: the parameters of the operation in the API description
    :raises ProblemError: 400, with the name of each
    """
    known = list(dict.fromkeys(one["name"] for one in described if one["in"] == "query"))
    unknown = [name for name in dict.fromkeys(query) if name not in known]
    if unknown:
        message = f"is unknown; allowed: {', '.join(known)}" if known else "is unknown"
        raise invalid_request(
            *(FieldError(name[:_MOST_CHARACTERS], message) for name in unknown[:_MOST_ERRORS])
        )


def _parameter(error: ParameterValidationError) -> list[FieldError]:
    cause = error.__cause__
    if isinstance(cause, InvalidSchemaValue):
        return [FieldError(error.name, found.message) for found in _schema_errors(cause)]
    if isinstance(cause, CastError):
        return [FieldError(error.name, f"must be {with_article(cause.type or 'value')}")]
    return [FieldError(error.name, "is missing or empty")]


def _body(error: Exception) -> ProblemError:
    cause = error.__cause__
    if isinstance(error, MissingRequiredRequestBody):
        return ProblemError(400, "The request has no body.", kind="invalid-request")
    if isinstance(cause, MediaTypeNotFound):
        supported = " or ".join(cause.availableMimetypes)
        return ProblemError(415, f"Send the body as {supported}, with this Content-Type.")
    if isinstance(cause, InvalidSchemaValue):
        found = list(dict.fromkeys(_schema_errors(cause)))
        return invalid_content(*found[:_MOST_ERRORS])
    raise error


def _schema_errors(invalid: InvalidSchemaValue) -> Iterator[FieldError]:
    for error in invalid.schema_errors:
        where = "/".join(str(part)[:_MOST_CHARACTERS] for part in error.absolute_path)  # type: ignore[attr-defined]
        for name, message in _explain(error):
            yield FieldError("/".join(filter(None, (where, name[:_MOST_CHARACTERS]))), message)


def _explain(error: Any) -> Iterator[tuple[str, str]]:
    """Yield the wrong property (or None) and the message for one keyword of JSON Schema."""
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
                    yield name, f"is unknown; allowed: {', '.join(known)}"
        case "type":
            yield "", f"must be {with_article(str(wanted))}"
        case "enum":
            yield "", f"must be one of: {', '.join(map(str, wanted))}"
        case "format":
            yield "", f"must be {with_article(str(wanted))}"
        case "minimum":
            yield "", f"must be at least {wanted}"
        case "maximum":
            yield "", f"must be at most {wanted}"
        case "minLength":
            yield "", "is empty" if wanted == 1 else f"must have at least {wanted} characters"
        case "minItems":
            yield "", "is empty" if wanted == 1 else f"must have at least {wanted} items"
        case "maxLength":
            yield "", f"must have at most {wanted} characters"
        case "maxItems":
            yield "", f"must have at most {wanted} items"
        case "pattern":
            said = error.schema.get("description")
            yield "", f"is invalid. Valid: {said}" if said else f"must match {wanted}"
        case keyword:
            yield "", f"violates {keyword}"
