"""Compiles the schemas of the OpenAPI document, which validate values and parse their formats.

OpenAPI 3.0 uses a dialect of JSON Schema draft 4. This module translates it for jsonschema-rs, which
validates a value in a few microseconds. It writes its own error messages, because those of the library
repeat the client's input, which may have megabytes.
"""

from __future__ import annotations

import binascii
import copy
import datetime
import re
import uuid
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol

import jsonschema_rs

from combine_core.web.problems import FieldError

Schema = Mapping[str, Any]
Read = Callable[[Any], Any]

# Longer field names of the client are truncated in error messages.
MAX_NAME_LENGTH = 100
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UUID = re.compile("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_INTEGERS = {"int32": 1 << 31, "int64": 1 << 63}
_COMBINED = ("allOf", "anyOf", "oneOf")


class Validator(Protocol):
    """The part of jsonschema_rs.Draft4Validator that is used here."""

    def is_valid(self, instance: Any) -> bool: ...
    def iter_errors(self, instance: Any) -> Iterator[Any]: ...


def read_time(value: str) -> datetime.datetime:
    """Parse a time with its offset (RFC 3339, 5.6).

    :raises ValueError: the value is not such a time
    """
    if not _TIME.fullmatch(value):
        raise ValueError("not a time of RFC 3339")
    return datetime.datetime.fromisoformat(value.upper())


def read_date(value: str) -> datetime.date:
    """Parse a date such as ``2026-11-28``.

    :raises ValueError: the value is not such a date
    """
    if not _DATE.fullmatch(value):
        raise ValueError("not a date of RFC 3339")
    return datetime.date.fromisoformat(value)


def _read_uuid(value: str) -> uuid.UUID:
    if not _UUID.fullmatch(value):
        raise ValueError("not a UUID")
    return uuid.UUID(value)


# Parsers of strings, by format.
_READERS: Mapping[str, Read] = {"date": read_date, "date-time": read_time, "uuid": _read_uuid}


def _succeeds(read: Read) -> Callable[[str], bool]:
    def is_valid(value: str) -> bool:
        try:
            read(value)
        except (ValueError, binascii.Error):
            return False
        return True

    return is_valid


_FORMATS = {
    **{name: _succeeds(read) for name, read in _READERS.items()},
    "byte": _succeeds(lambda value: b64decode(value, validate=True)),
}


class Schemas:
    """Compiles the schemas of one OpenAPI document, whose references must be local."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._readers: dict[str, Read | None] = {}

    @cached_property
    def _components(self) -> Any:
        return _translate(self._document.get("components", {}))

    def resolve(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow the references of a part of the document."""
        while "$ref" in part:
            target: Any = self._document
            for name in part["$ref"].removeprefix("#/").split("/"):
                target = target[name.replace("~1", "/").replace("~0", "~")]
            part = target
        return part

    def compile(self, schema: Schema) -> CompiledSchema:
        whole = {"allOf": [_translate(schema)], "components": self._components_of(schema)}
        return CompiledSchema(whole, self._reader_of(schema))

    def _components_of(self, schema: Schema) -> dict[str, dict[str, Any]]:
        """Return the components to which a schema refers, directly or indirectly.

        jsonschema-rs copies its input. With all components in each schema, the copies took 100 MB.
        """
        found: dict[str, dict[str, Any]] = {}
        pending = list(_references(schema))
        while pending:
            section, name = pending.pop().removeprefix("#/components/").split("/")[:2]
            components = found.setdefault(section, {})
            if name not in components:
                components[name] = self._components[section][name]
                pending += _references(components[name])
        return found

    def _reader_of(self, schema: Schema) -> Read | None:
        """Return the function that adds defaults to a valid value and parses its formats.

        It is ``None`` if the schema has neither defaults nor formats.
        """
        name = schema.get("$ref")
        if name is None:
            return self._make_reader(schema)
        if name not in self._readers:
            # The schema may refer to itself while its reader is being made.
            self._readers[name] = lambda value: reader(value) if reader else value
            reader = self._make_reader(self.resolve(schema))
            self._readers[name] = reader
        return self._readers[name]

    def _make_reader(self, schema: Schema) -> Read | None:
        properties = schema.get("properties", {})
        readers = {
            name: read
            for name, one in properties.items()
            if (read := self._reader_of(one)) is not None
        }
        resolved = {name: self.resolve(one) for name, one in properties.items()}
        defaults = {name: one["default"] for name, one in resolved.items() if "default" in one}
        has_mutable_default = any(isinstance(one, dict | list) for one in defaults.values())
        copy_defaults = copy.deepcopy if has_mutable_default else dict
        items = self._reader_of(schema["items"]) if "items" in schema else None
        others = schema.get("additionalProperties")
        read_other = self._reader_of(others) if isinstance(others, Mapping) else None
        read_string = _READERS.get(schema.get("format", ""))
        parts = [
            compiled
            for keyword in _COMBINED
            for part in schema.get(keyword, ())
            if (compiled := self.compile(part)).changes
        ]
        if not (readers or defaults or items or read_other or read_string or parts):
            return None

        def read_value(value: Any) -> Any:
            if isinstance(value, str):
                value = read_string(value) if read_string else value
            elif isinstance(value, list):
                value = [items(item) for item in value] if items else value
            elif isinstance(value, dict):
                value = {**copy_defaults(defaults), **value}
                for name in value:
                    read_property = readers.get(name) if name in properties else read_other
                    if read_property is not None:
                        value[name] = read_property(value[name])
            for part in parts:
                if part.is_valid(value):
                    value = part.read(value)
            return value

        return read_value


class CompiledSchema:
    """A schema that validates and reads values."""

    def __init__(self, schema: dict[str, Any], read: Read | None) -> None:
        self._schema = schema
        self._read = read
        self.changes = read is not None
        self._validator: Validator = jsonschema_rs.Draft4Validator(
            # The messages of the library are not used. With a mask they do not copy the input.
            schema, formats=_FORMATS, validate_formats=True, mask="it"
        )  # fmt: skip

    def is_valid(self, value: Any) -> bool:
        return self._validator.is_valid(value)

    def read(self, value: Any) -> Any:
        """Add the defaults to a valid value, and parse its formats into Python's types."""
        return value if self._read is None else self._read(value)

    def errors(self, value: Any) -> Iterator[FieldError]:
        """Yield the errors of a value, each with its field.

        :raises RecursionError: the value is nested too deeply
        """
        try:
            errors = list(self._validator.iter_errors(value))
        except ValueError as too_deep:
            raise RecursionError from too_deep
        for error in errors:
            path = [str(part)[:MAX_NAME_LENGTH] for part in error.instance_path]
            for name, message in _explain(error.kind, self._schema_at(error.schema_path)):
                yield FieldError("/".join(filter(None, [*path, name[:MAX_NAME_LENGTH]])), message)

    def _schema_at(self, path: list[str | int]) -> Schema:
        found: Any = self._schema
        for part in path[:-1]:
            found = found[part]
        schema: Schema = found
        return schema


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for one in part:
            yield from _references(one)
    elif isinstance(part, Mapping):
        for name, one in part.items():
            if name == "$ref" and isinstance(one, str):
                yield one
            else:
                yield from _references(one)


def _translate(part: Any) -> Any:
    """Translate the OpenAPI 3.0 schemas in this part to JSON Schema draft 4."""
    if isinstance(part, list):
        return [_translate(one) for one in part]
    if not isinstance(part, Mapping):
        return part
    translated = {name: _translate(one) for name, one in part.items()}
    kind = translated.get("type")
    if kind == "integer" and translated.get("format") in _INTEGERS:
        end = _INTEGERS[translated["format"]]
        translated["minimum"] = max(translated.get("minimum", -end), -end)
        translated["maximum"] = min(translated.get("maximum", end - 1), end - 1)
    if translated.get("nullable") is True and isinstance(kind, str):
        translated["type"] = [kind, "null"]
    return translated


def _explain(kind: Any, schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield the invalid property (or "" for the whole value) and the message for a failed keyword."""
    expected = kind.value
    match kind.name:
        case "required":
            yield expected, "is missing"
        case "additionalProperties":
            allowed = ", ".join(schema.get("properties", {}))
            for name in expected:
                yield name, f"is unknown; allowed: {allowed}"
        case "type":
            [name] = [one for one in expected if one != "null"]
            yield "", f"must be {with_article(name)}"
        case "enum":
            yield "", f"must be one of: {', '.join(map(str, expected))}"
        case "format":
            yield "", f"must be {with_article(expected)}"
        case "minimum":
            yield "", f"must be at least {expected}"
        case "maximum":
            yield "", f"must be at most {expected}"
        case "minLength":
            yield "", "is empty" if expected == 1 else f"must have at least {expected} characters"
        case "minItems":
            yield "", "is empty" if expected == 1 else f"must have at least {expected} items"
        case "maxLength":
            yield "", f"must have at most {expected} characters"
        case "maxItems":
            yield "", f"must have at most {expected} items"
        case "pattern":
            description = schema.get("description")
            yield (
                "",
                f"is invalid. Valid: {description}" if description else f"must match {expected}",
            )
        case keyword:
            yield "", f"violates {keyword}"


def with_article(name: str) -> str:
    """Return the name of a type or a format with its article."""
    name = {"uuid": "UUID"}.get(name, name)
    return f"an {name}" if name[0] in "aeio" else f"a {name}"
