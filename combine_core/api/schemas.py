"""Schemas of the OpenAPI document: compiled once, they check values, explain misfits, and read formats.

OpenAPI 3.0 writes schemas in a dialect of JSON Schema's draft 4. They are rewritten for jsonschema-rs, which
checks a value in a few microseconds. The messages name the field. Those of the library would repeat what the
client sent, up to megabytes of it; these do not.
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

MOST_CHARACTERS = 100
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UUID = re.compile("[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_INTEGERS = {"int32": 1 << 31, "int64": 1 << 63}
_COMBINED = ("allOf", "anyOf", "oneOf")


class Check(Protocol):
    """A compiled schema."""

    def is_valid(self, instance: Any) -> bool: ...
    def iter_errors(self, instance: Any) -> Iterator[Any]: ...


def read_time(value: str) -> datetime.datetime:
    """A time with its offset (RFC 3339, 5.6).

    :raises ValueError: it is none
    """
    if not _TIME.fullmatch(value):
        raise ValueError("not a time of RFC 3339")
    return datetime.datetime.fromisoformat(value.upper())


def read_date(value: str) -> datetime.date:
    """A date such as ``2026-11-28``.

    :raises ValueError: it is none
    """
    if not _DATE.fullmatch(value):
        raise ValueError("not a date of RFC 3339")
    return datetime.date.fromisoformat(value)


def _read_uuid(value: str) -> uuid.UUID:
    if not _UUID.fullmatch(value):
        raise ValueError("not a UUID")
    return uuid.UUID(value)


# What becomes of a string with this format.
_READERS: Mapping[str, Read] = {"date": read_date, "date-time": read_time, "uuid": _read_uuid}


def _can_be(read: Read) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            read(value)
        except (ValueError, binascii.Error):
            return False
        return True

    return check


_FORMATS = {
    **{name: _can_be(read) for name, read in _READERS.items()},
    "byte": _can_be(lambda value: b64decode(value, validate=True)),
}


class Schemas:
    """Compiles the schemas of one document.

    :param document: the OpenAPI document; its references lead to its own parts
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._readers: dict[str, Read | None] = {}

    @cached_property
    def _components(self) -> Any:
        return _rewritten(self._document.get("components", {}))

    def resolve(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part itself, or what it refers to."""
        while "$ref" in part:
            found: Any = self._document
            for name in part["$ref"].removeprefix("#/").split("/"):
                found = found[name.replace("~1", "/").replace("~0", "~")]
            part = found
        return part

    def compile(self, schema: Schema) -> CompiledSchema:
        whole = {"allOf": [_rewritten(schema)], "components": self._components_of(schema)}
        return CompiledSchema(whole, self._reader_of(schema))

    def _components_of(self, schema: Schema) -> dict[str, dict[str, Any]]:
        """The components that a schema refers to, and those that they refer to.

        jsonschema-rs keeps a copy of all that it gets: all components for each schema were 100 MB.
        """
        found: dict[str, dict[str, Any]] = {}
        todo = list(_references(schema))
        while todo:
            section, name = todo.pop().removeprefix("#/components/").split("/")[:2]
            components = found.setdefault(section, {})
            if name not in components:
                components[name] = self._components[section][name]
                todo += _references(components[name])
        return found

    def _reader_of(self, schema: Schema) -> Read | None:
        """What reads a checked value into Python's types, with defaults; ``None``: it stays as it is."""
        name = schema.get("$ref")
        if name is None:
            return self._make_reader(schema)
        if name not in self._readers:
            # A schema may contain itself.
            self._readers[name] = lambda value: made(value) if made else value
            made = self._make_reader(self.resolve(schema))
            self._readers[name] = made
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
        is_shared = any(isinstance(one, dict | list) for one in defaults.values())
        fresh = copy.deepcopy if is_shared else dict
        items = self._reader_of(schema["items"]) if "items" in schema else None
        others = schema.get("additionalProperties")
        read_other = self._reader_of(others) if isinstance(others, Mapping) else None
        read_string = _READERS.get(schema.get("format", ""))
        parts = [
            compiled
            for word in _COMBINED
            for part in schema.get(word, ())
            if (compiled := self.compile(part)).changes
        ]
        if not (readers or defaults or items or read_other or read_string or parts):
            return None

        def read_whole(value: Any) -> Any:
            if isinstance(value, str):
                value = read_string(value) if read_string else value
            elif isinstance(value, list):
                value = [items(item) for item in value] if items else value
            elif isinstance(value, dict):
                value = {**fresh(defaults), **value}
                for name in value:
                    change = readers.get(name) if name in properties else read_other
                    if change is not None:
                        value[name] = change(value[name])
            for part in parts:
                if part.fits(value):
                    value = part.read(value)
            return value

        return read_whole


class CompiledSchema:
    """Checks values by one schema."""

    def __init__(self, schema: dict[str, Any], read: Read | None) -> None:
        self._schema = schema
        self._read = read
        self.changes = read is not None
        self._check: Check = jsonschema_rs.Draft4Validator(
            # The messages of the library are not used. With a mask they do not copy what was sent.
            schema, formats=_FORMATS, validate_formats=True, mask="it"
        )  # fmt: skip

    def fits(self, value: Any) -> bool:
        return self._check.is_valid(value)

    def read(self, value: Any) -> Any:
        """A value that fits, with its defaults, and its formats in Python's types."""
        return value if self._read is None else self._read(value)

    def misfits(self, value: Any) -> Iterator[FieldError]:
        """What is wrong with the value: the place and the message.

        :raises RecursionError: it is nested too deeply
        """
        try:
            errors = list(self._check.iter_errors(value))
        except ValueError as deep:
            raise RecursionError from deep
        for error in errors:
            where = [str(part)[:MOST_CHARACTERS] for part in error.instance_path]
            for name, message in _explain(error.kind, self._schema_at(error.schema_path)):
                yield FieldError("/".join(filter(None, [*where, name[:MOST_CHARACTERS]])), message)

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


def _rewritten(part: Any) -> Any:
    """The schemas of OpenAPI 3.0 in this part, as JSON Schema's draft 4 has them."""
    if isinstance(part, list):
        return [_rewritten(one) for one in part]
    if not isinstance(part, Mapping):
        return part
    found = {name: _rewritten(one) for name, one in part.items()}
    kind = found.get("type")
    if kind == "integer" and found.get("format") in _INTEGERS:
        end = _INTEGERS[found["format"]]
        found["minimum"] = max(found.get("minimum", -end), -end)
        found["maximum"] = min(found.get("maximum", end - 1), end - 1)
    if found.get("nullable") is True and isinstance(kind, str):
        found["type"] = [kind, "null"]
    return found


def _explain(kind: Any, schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield the property that is wrong (or nothing) and the message, for one keyword of JSON Schema."""
    wanted = kind.value
    match kind.name:
        case "required":
            yield wanted, "is missing"
        case "additionalProperties":
            known = ", ".join(schema.get("properties", {}))
            for name in wanted:
                yield name, f"is not known; known are: {known}"
        case "type":
            [name] = [one for one in wanted if one != "null"]
            yield "", f"must be {with_article(name)}"
        case "enum":
            yield "", f"must be one of: {', '.join(map(str, wanted))}"
        case "format":
            yield "", f"must be {with_article(wanted)}"
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
            said = schema.get("description")
            yield "", f"does not fit. What fits: {said}" if said else f"must match {wanted}"
        case keyword:
            yield "", f"does not fit: {keyword}"


def with_article(what: str) -> str:
    """The name of a type or a format, with its article."""
    what = {"uuid": "UUID"}.get(what, what)
    return f"an {what}" if what[0] in "aeio" else f"a {what}"
