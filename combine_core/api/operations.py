"""Validates requests against the operations of the OpenAPI document.

Each operation is compiled at its first request. openapi-core compiles it for every request, which takes
longer than most views. A test compares the results of both (``tests/unit/api/test_operations.py``).

An operation may have parameters in the path, the query and the headers. Each is a string, a number, a boolean
or an array of these. Its body may have any media type: JSON is validated against its schema, and any other
body is left to the view.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

from combine_core.api.schemas import MAX_NAME_LENGTH, Schemas, with_article
from combine_core.api.strict_json import read_json
from combine_core.web.endpoints import API_PREFIX
from combine_core.web.problems import FieldError, ProblemError, invalid_content, invalid_request

MAX_ERRORS = 20
# The values that openapi-core accepts as a boolean.
_BOOLEANS = {
    **dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True),
    **dict.fromkeys(("n", "no", "f", "false", "off", "0"), False),
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """The validated parameters of a request."""

    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """The validated content of a request, in Python's types and with the defaults of the document.

    :ivar body: the parsed JSON; ``None`` if there is no body or another media type
    """

    parameters: Parameters
    body: Any


class RequestReader:
    """Validates and parses requests by the operations of an OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._schemas = Schemas(document)
        self._operations: dict[tuple[str, str], Operation] = {}

    def read(self, request: Request) -> CheckedRequest:
        """Validate and parse a request.

        :raises ProblemError: the request is invalid; it lists the errors
        """
        # By the matched route, not by host and path, which the client chooses.
        key = request.matched_route.pattern, request.method
        operation = self._operations.get(key)
        if operation is None:
            operation = self._operations[key] = self._compile(*key)
        try:
            return operation.read(request)
        except RecursionError as error:
            raise invalid_content(FieldError("", "is nested too deeply.")) from error

    def _compile(self, pattern: str, method: str) -> Operation:
        path = pattern.removeprefix(API_PREFIX)
        method = "get" if method == "HEAD" else method.lower()
        item = self._document["paths"].get(path, {})
        if method not in item:
            raise ConfigurationError(f"Describe {method.upper()} {path} in the OpenAPI document.")
        try:
            return Operation(self._schemas, item, item[method])
        except _UnsupportedParameter as error:
            raise ConfigurationError(f"{method.upper()} {path}: {error}") from error


class _UnsupportedParameter(ValueError):
    pass


class Operation:
    """A compiled operation of the OpenAPI document."""

    def __init__(
        self, schemas: Schemas, item: Mapping[str, Any], operation: Mapping[str, Any]
    ) -> None:
        parameters: dict[tuple[str, str], Mapping[str, Any]] = {}
        for entry in (*operation.get("parameters", ()), *item.get("parameters", ())):
            parameter = schemas.resolve(entry)
            # A parameter of the operation overrides the one of its path.
            parameters.setdefault((parameter["in"], parameter["name"]), parameter)
        self._parameters = [Parameter(schemas, parameter) for parameter in parameters.values()]
        self._query_names = [name for location, name in parameters if location == "query"]
        properties: dict[str, Any] = {}
        for (location, name), parameter in parameters.items():
            location_schema = properties.setdefault(location, {"properties": {}})
            location_schema["properties"][name] = parameter["schema"]
        self._schema = schemas.compile({"properties": properties})
        body = schemas.resolve(operation.get("requestBody", {}))
        self._needs_body = body.get("required", False)
        # None for media types other than JSON, which are left to the view.
        self._bodies = {
            media_type: schemas.compile(entry.get("schema", {})) if _is_json(media_type) else None
            for media_type, entry in body.get("content", {}).items()
        }

    def read(self, request: Request) -> CheckedRequest:
        """Validate and parse a request.

        :raises ProblemError: the request is invalid
        """
        if request.GET:
            self._reject_unknown(request.GET)
        return CheckedRequest(self._read_parameters(request), self._read_body(request))

    def _reject_unknown(self, query: Mapping[str, str]) -> None:
        unknown = [name for name in dict.fromkeys(query) if name not in self._query_names]
        if unknown:
            allowed = f"; allowed: {', '.join(self._query_names)}" if self._query_names else ""
            raise invalid_request(
                *(
                    FieldError(name[:MAX_NAME_LENGTH], f"is unknown{allowed}")
                    for name in unknown[:MAX_ERRORS]
                )
            )

    def _read_parameters(self, request: Request) -> Parameters:
        errors: list[FieldError] = []
        values: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
        for parameter in self._parameters:
            try:
                value = parameter.read(request)
            except ValueError as error:
                errors.append(FieldError(parameter.name, str(error)))
            else:
                if value is not None:
                    values[parameter.location][parameter.name] = value
        if not self._schema.is_valid(values):
            errors += [
                FieldError(error.field.split("/")[1], error.message)
                for error in self._schema.errors(values)
            ]
        if errors:
            raise invalid_request(*errors[:MAX_ERRORS])
        return Parameters(**self._schema.read(values))

    def _read_body(self, request: Request) -> Any:
        if not self._bodies:
            return None
        media_type = request.content_type.strip().lower()
        matched = next((one for one in self._bodies if fnmatchcase(media_type, one)), None)
        schema = None if matched is None else self._bodies[matched]
        if matched is not None and schema is None:
            return None
        content = request.body
        if not content:
            if self._needs_body:
                raise ProblemError(400, "The request has no body.", kind="invalid-request")
            return None
        if schema is None:
            supported = " or ".join(self._bodies)
            raise ProblemError(415, f"Send the body as {supported}, with this Content-Type.")
        body = read_json(content)
        if not schema.is_valid(body):
            raise invalid_content(*list(dict.fromkeys(schema.errors(body)))[:MAX_ERRORS])
        return schema.read(body)


class Parameter:
    """A compiled parameter of an operation."""

    def __init__(self, schemas: Schemas, entry: Mapping[str, Any]) -> None:
        self.name: str = entry["name"]
        self.location: str = entry["in"]
        schema = schemas.resolve(entry.get("schema", {}))
        self._is_array = schema.get("type") == "array"
        item = schemas.resolve(schema.get("items", {})) if self._is_array else schema
        self._type: str = item.get("type", "")
        default_style = _STYLES.get(self.location)
        if (
            "content" in entry
            or default_style is None
            or entry.get("style", default_style) != default_style
            or self._type not in _CASTS
        ):
            raise _UnsupportedParameter(
                f"the parameter {self.name} has an unsupported location, style or type."
            )
        self._required: bool = entry.get("required", False)
        self._variable = f"HTTP_{self.name.upper().replace('-', '_')}"
        explodes = self.location == "query" and entry.get("explode", True)
        self._is_repeated = self._is_array and explodes
        self._has_default = "default" in schema

    def read(self, request: Request) -> Any:
        """Return the value in its Python type, or ``None`` if the request has none.

        :raises ValueError: the value is missing or has another type
        """
        sent = self._sent(request)
        if sent is None:
            if self._required and not self._has_default:
                raise ValueError("is missing or empty")
            return None
        if self._is_array:
            return [self._cast(item) for item in sent]
        value = self._cast(sent)
        if value == "" and self.location == "query":
            raise ValueError("is missing or empty")
        return value

    def _sent(self, request: Request) -> Any:
        if self._is_repeated:
            return request.GET.getall(self.name) or None
        if self.location == "query":
            sent = request.GET.get(self.name)
        elif self.location == "path":
            sent = request.matchdict.get(self.name)
        else:
            sent = request.environ.get(self._variable)
        return sent.split(",") if self._is_array and sent is not None else sent

    def _cast(self, value: str) -> Any:
        try:
            return _CASTS[self._type](value)
        except (ValueError, KeyError):
            raise ValueError(f"must be {with_article(self._type)}") from None


def _read_number(value: str) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a number in JSON")
    return number


_STYLES = {"path": "simple", "query": "form", "header": "simple"}
_CASTS: Mapping[str, Callable[[str], Any]] = {
    "boolean": lambda value: _BOOLEANS[value.lower()],
    "integer": int,
    "number": _read_number,
    "string": str,
}


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")
