"""Checks requests against the operations of the OpenAPI document.

An operation is compiled at its first request. Compiling it for each request, as openapi-core does, takes
longer than most views. A test compares both (``tests/functional/api/test_operations.py``).

What an operation may have: parameters in the path, the query and headers, with a schema of a string, number
or boolean, or of an array of them; a body of any type. JSON is checked by its schema. Another body is left to
the view.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

from combine_core.api.schemas import MOST_CHARACTERS, Schemas, with_article
from combine_core.api.strict_json import read_json
from combine_core.web.endpoints import API_PREFIX
from combine_core.web.problems import FieldError, ProblemError, invalid_content, invalid_request

MOST_ERRORS = 20
# The words that openapi-core takes for a boolean.
_BOOLEANS = {
    **dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True),
    **dict.fromkeys(("n", "no", "f", "false", "off", "0"), False),
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a request that has been checked."""

    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """What fits the description, in Python's types and with its defaults.

    :ivar body: ``None``: there is none, or it is no JSON
    """

    parameters: Parameters
    body: Any


class RequestReader:
    """Reads requests as the document describes them.

    :param document: the OpenAPI document
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._schemas = Schemas(document)
        self._operations: dict[tuple[str, str], Operation] = {}

    def read(self, request: Request) -> CheckedRequest:
        """Check a request.

        :raises ProblemError: it does not fit; names each misfit
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
        except _Unsupported as error:
            raise ConfigurationError(f"{method.upper()} {path}: {error}") from error


class _Unsupported(ValueError):
    pass


class Operation:
    """One operation, compiled."""

    def __init__(
        self, schemas: Schemas, item: Mapping[str, Any], operation: Mapping[str, Any]
    ) -> None:
        described: dict[tuple[str, str], Mapping[str, Any]] = {}
        for entry in (*operation.get("parameters", ()), *item.get("parameters", ())):
            found = schemas.resolve(entry)
            # Those of the operation replace those of its path.
            described.setdefault((found["in"], found["name"]), found)
        self._parameters = [Parameter(schemas, entry) for entry in described.values()]
        self._known = [name for place, name in described if place == "query"]
        self._schema = schemas.compile(
            {
                "properties": {
                    place: {
                        "properties": {
                            name: entry["schema"]
                            for (found, name), entry in described.items()
                            if found == place
                        }
                    }
                    for place in {place for place, _ in described}
                }
            }
        )
        body = schemas.resolve(operation.get("requestBody", {}))
        self._needs_body = body.get("required", False)
        # None: what is not JSON is left to the view.
        self._bodies = {
            media_type: schemas.compile(entry.get("schema", {})) if _is_json(media_type) else None
            for media_type, entry in body.get("content", {}).items()
        }

    def read(self, request: Request) -> CheckedRequest:
        """Check a request. Raises :class:`ProblemError`."""
        if request.GET:
            self._refuse_unknown(request.GET)
        return CheckedRequest(self._read_parameters(request), self._read_body(request))

    def _refuse_unknown(self, query: Mapping[str, str]) -> None:
        unknown = [name for name in dict.fromkeys(query) if name not in self._known]
        if unknown:
            known = f"; known are: {', '.join(self._known)}" if self._known else ""
            raise invalid_request(
                *(
                    FieldError(name[:MOST_CHARACTERS], f"is not known{known}")
                    for name in unknown[:MOST_ERRORS]
                )
            )

    def _read_parameters(self, request: Request) -> Parameters:
        errors: list[FieldError] = []
        given: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
        for parameter in self._parameters:
            try:
                value = parameter.given(request)
            except ValueError as error:
                errors.append(FieldError(parameter.name, str(error)))
            else:
                if value is not None:
                    given[parameter.place][parameter.name] = value
        if not self._schema.fits(given):
            errors += [
                FieldError(one.field.split("/")[1], one.message)
                for one in self._schema.misfits(given)
            ]
        if errors:
            raise invalid_request(*errors[:MOST_ERRORS])
        return Parameters(**self._schema.read(given))

    def _read_body(self, request: Request) -> Any:
        if not self._bodies:
            return None
        media_type = request.content_type.strip().lower()
        found = next((one for one in self._bodies if fnmatchcase(media_type, one)), None)
        schema = None if found is None else self._bodies[found]
        if found is not None and schema is None:
            return None
        sent = request.body
        if not sent:
            if self._needs_body:
                raise ProblemError(400, "The request has no body.", kind="invalid-request")
            return None
        if schema is None:
            supported = " or ".join(self._bodies)
            detail = f"Send the body as {supported}, and say so in Content-Type."
            raise ProblemError(415, detail)
        body = read_json(sent)
        if not schema.fits(body):
            raise invalid_content(*list(dict.fromkeys(schema.misfits(body)))[:MOST_ERRORS])
        return schema.read(body)


class Parameter:
    """Reads one parameter of a request."""

    def __init__(self, schemas: Schemas, entry: Mapping[str, Any]) -> None:
        self.name: str = entry["name"]
        self.place: str = entry["in"]
        schema = schemas.resolve(entry.get("schema", {}))
        self._is_array = schema.get("type") == "array"
        item = schemas.resolve(schema.get("items", {})) if self._is_array else schema
        self._type: str = item.get("type", "")
        style = entry.get("style", _STYLES.get(self.place))
        is_read = self.place in _STYLES and style == _STYLES[self.place] and self._type in _CASTS
        if "content" in entry or not is_read:
            raise _Unsupported(f"the parameter {self.name} is of a kind that is not checked.")
        self._required: bool = entry.get("required", False)
        self._variable = f"HTTP_{self.name.upper().replace('-', '_')}"
        explodes = self.place == "query" and entry.get("explode", True)
        self._is_repeated = self._is_array and explodes
        self._has_default = "default" in schema

    def given(self, request: Request) -> Any:
        """The value that was sent, in its type; ``None``: there is none.

        :raises ValueError: it is missing, or not of this type
        """
        sent = self._sent(request)
        if sent is None:
            if self._required and not self._has_default:
                raise ValueError("is missing or empty")
            return None
        if self._is_array:
            return [self._cast(item) for item in sent]
        value = self._cast(sent)
        if value == "" and self.place == "query":
            raise ValueError("is missing or empty")
        return value

    def _sent(self, request: Request) -> Any:
        if self._is_repeated:
            return request.GET.getall(self.name) or None
        if self.place == "query":
            sent = request.GET.get(self.name)
        elif self.place == "path":
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
