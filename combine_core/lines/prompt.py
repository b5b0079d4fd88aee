"""Renders the prompt of a step from a template. The same inputs always give the same prompt."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import StrictUndefined, Template
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from combine_core.llm import Material

# Sandboxed, because a line is data and must not execute Python code.
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
def uses_sources(template: str) -> bool:
    """Check whether a prompt contains the sources, not only the answers of earlier steps."""
    return "sources" in find_undeclared_variables(_ENVIRONMENT.parse(template))


def render_prompt(template: str, materials: Sequence[Material], inputs: Mapping[str, Any]) -> str:
    """Render the prompt of a step.

    :param materials: the sources, which the template gets as ``sources`` with label, name, lines and
        first_line, the number of the first line
    :param inputs: the answers of the needed steps, by step key
    :raises jinja2.TemplateError: if the template is invalid or uses an unknown name
    """
    sources = [
        _NumberedSource(material.label, material.name, material.first_line, material.text)
        for material in materials
    ]
    return _compile(template).render(sources=sources, inputs=inputs)
