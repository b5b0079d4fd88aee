"""Splits a document into sections, in the order of its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from combine_core.documents.model import DocumentVersion
from combine_core.lines import WriteStep


@dataclass(frozen=True)
class Section:
    """A part of a document, under one key of its schema."""

    key: str
    title: str
    value: Any


def sections_of(version: DocumentVersion, step: WriteStep) -> Iterator[Section]:
    """Yield the sections in the order of ``required`` in the schema, because stored JSON has no order.

    :param step: the step that writes this document
    """
    schema = step.answer_schema
    keys = dict.fromkeys([*schema.get("required", ()), *version.content])
    for key in keys:
        if key in version.content:
            title = schema.get("properties", {}).get(key, {}).get("title")
            yield Section(key, title or key.replace("_", " ").capitalize(), version.content[key])
