"""Parses and validates the definition of a line from YAML. A definition is immutable."""

from __future__ import annotations

import graphlib
import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Literal

import jsonschema_rs
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

_Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class InvalidLine(ValueError):
    """An invalid definition of a line. The message names the location of the error."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Strict):
    """The limits of a run, which no step can raise."""

    max_sources: int = Field(default=20, ge=1, le=200)


class WriteStep(_Strict):
    """A step in which a model writes an answer that fits ``answer_schema``."""

    kind: Literal["write"]
    key: _Key
    title: str = Field(min_length=1, max_length=80)
    needs: tuple[_Key, ...] = ()
    system: str
    prompt: str
    answer_schema: dict[str, Any] = Field(alias="schema")
    document: _Key | None = None
    template: str | None = None
    max_tokens: int = Field(default=4000, ge=1, le=64_000)
    # Seconds for one call to the provider.
    timeout: float = Field(default=120, gt=0, le=900)
    # The maximum number of further calls after an answer that does not fit the schema.
    repairs: int = Field(default=2, ge=0, le=5)
    # With "source", one call for each source or portion of a source. The lists of the answers are joined.
    each: Literal["source"] | None = None
    # Whether a model checks that the quoted sentences support each statement. It can only lower a verdict.
    second_opinion: bool = False


# Stored only if a line uses them, so that other lines keep their hash and older releases can read them.
_SINCE_0_2: dict[str, Any] = {"each": None, "second_opinion": False}


class Line(_Strict):
    """A line: its name, its title and its steps."""

    name: _Key
    title: str = Field(min_length=1, max_length=80)
    description: str
    limits: Limits = Limits()
    steps: tuple[WriteStep, ...] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _check_graph(self) -> Line:
        keys = [step.key for step in self.steps]
        if len(set(keys)) != len(keys):
            raise ValueError("two steps have the same key")
        for step in self.steps:
            for need in step.needs:
                if need not in keys:
                    raise ValueError(
                        f"step {step.key} needs {need}, which is not a step of this line"
                    )
            _check_each(step)
            if (step.document is None) != (step.template is None):
                message = f"step {step.key} must name both document and template, or neither"
                raise ValueError(message)
            try:
                jsonschema_rs.meta.validate(step.answer_schema)
            except jsonschema_rs.ValidationError as error:
                message = f"the schema of step {step.key} is not a JSON Schema: {error.message}"
                raise ValueError(message) from error
        try:
            graphlib.TopologicalSorter({step.key: step.needs for step in self.steps}).prepare()
        except graphlib.CycleError as error:
            message = f"the steps form a cycle: {' -> '.join(error.args[1])}"
            raise ValueError(message) from error
        return self

    @cached_property
    def definition(self) -> dict[str, Any]:
        """Return the stored form of the line as JSON."""
        stored = self.model_dump(mode="json", by_alias=True)
        for step in stored["steps"]:
            for name, default in _SINCE_0_2.items():
                if step[name] == default:
                    del step[name]
        return stored

    @property
    def format(self) -> int:
        """Return the version of the format: 1, or 2 if the line uses a field from release 0.2."""
        uses_new_field = any(
            name in step for step in self.definition["steps"] for name in _SINCE_0_2
        )
        return 2 if uses_new_field else 1

    @cached_property
    def sha256(self) -> str:
        """Return a hash of the definition that does not depend on the order of keys."""
        canonical = json.dumps(self.definition, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def step(self, key: str) -> WriteStep:
        """Return the step with this key, or raise :class:`KeyError`."""
        for step in self.steps:
            if step.key == key:
                return step
        raise KeyError(key)


def _check_each(step: WriteStep) -> None:
    if step.each is None:
        return
    if step.needs or step.document is not None:
        message = (
            f"step {step.key} reads each source separately, so it can have no needs and no document"
        )
        raise ValueError(message)
    fields = step.answer_schema.get("properties", {})
    if not fields or any(field.get("type") != "array" for field in fields.values()):
        message = (
            f"step {step.key} reads each source separately, so its schema may contain only lists,"
            " which are joined for all sources"
        )
        raise ValueError(message)


def parse_line(text: str) -> Line:
    """Parse a line from YAML.

    :raises InvalidLine: if the text is not valid YAML or not a valid line; the message names each error
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidLine(f"The line is not valid YAML: {error}") from error
    return line_from_definition(data)


def line_from_definition(data: Any) -> Line:
    """Parse a line from its stored form, or raise :class:`InvalidLine`."""
    try:
        return Line.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'line'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise InvalidLine(f"The line is invalid: {faults}") from error
