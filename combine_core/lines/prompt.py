"""Prompts are templates over the pinned inputs of a step: the same inputs give the same prompt."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, Template
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from combine_core.llm import Material

# Sandboxed: a line is data, and data must not reach Python.
_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
)


@dataclass(frozen=True)
class _NumberedSource:
    label: str
    name: str
    first_line: int
    text: str

    @property
    def lines(self) -> Sequence[str]:
        return self.text.split("\n")


@functools.lru_cache(maxsize=64)
def _compile(template: str) -> Template:
    return _ENVIRONMENT.from_string(template)


@functools.lru_cache(maxsize=64)
def names_sources(template: str) -> bool:
    """Whether a prompt holds the sources themselves, and not only the answers of earlier steps."""
    return "sources" in find_undeclared_variables(_ENVIRONMENT.parse(template))


def render_prompt(template: str, materials: Sequence[Material], inputs: Mapping[str, Any]) -> str:
    """Fill a step's prompt.

    :param materials: the sources; the template sees them as ``sources`` with label, name, lines, and the
        number of the first of these, first_line
    :param inputs: the answers of the needed steps, by step key
    :raises jinja2.TemplateError: the template asks for what is not there
    """
    sources = [
        _NumberedSource(material.label, material.name, material.first_line, material.text)
        for material in materials
    ]
    return _compile(template).render(sources=sources, inputs=inputs)
