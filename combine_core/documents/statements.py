"""Finds the sections and statements of a document, and describes verdicts and origins in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from combine_core.documents.model import DocumentVersion
    from combine_core.lines import WriteStep

# The fields of a statement that are not its content. Versions older than verdicts have `flags`.
METADATA = frozenset({"evidence", "verdict", "reasons", "repairs", "flags", "author_id"})
_FIRST = ("speaker", "owner", "due", "heading")


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


def located_statements(content: Any, pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each statement of a document with its JSON Pointer (RFC 6901), such as ``/decisions/0``."""
    if isinstance(content, dict):
        if isinstance(content.get("evidence"), list):
            yield pointer, content
            return
        inner = [(key.replace("~", "~0").replace("/", "~1"), content[key]) for key in content]
    elif isinstance(content, list):
        inner = [(str(index), value) for index, value in enumerate(content)]
    else:
        return
    for key, value in inner:
        yield from located_statements(value, f"{pointer}/{key}")


def details_of(statement: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the labels and values of the other fields of a statement, such as ``("Owner", "Tom")``."""
    keys = [key for key in _FIRST if key in statement]
    keys += sorted(statement.keys() - METADATA - {"text", *_FIRST})
    return [
        (key.replace("_", " ").capitalize(), statement[key])
        for key in keys
        if statement[key] not in (None, "")
    ]


def text_of(statement: Mapping[str, Any]) -> str:
    """Return the statement as one line: its text, or else all its fields."""
    text = statement.get("text")
    if isinstance(text, str):
        return text
    return ", ".join(f"{label}: {value}" for label, value in details_of(statement))


def canonical_statement(statement: Mapping[str, Any]) -> str:
    """Return the content of a statement as canonical JSON, without metadata and empty fields."""
    content = {
        key: value for key, value in statement.items() if key not in METADATA and value is not None
    }
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


def support_in_words(support: Mapping[str, int] | None, used_llm: bool) -> str:
    """Return a paragraph on the number of supported statements.

    :param support: the number of statements with each verdict; ``None`` if they were not judged
    """
    if support is None:
        return (
            "Not judged. This version was written before statements had verdicts. Check its quotes."
        )
    total = sum(support.values())
    if not total:
        return f"No statement. {nothing_in_words(used_llm)}"
    repaired, unsupported, own = support["repaired"], support["unsupported"], support.get("own", 0)
    carried = total - unsupported - own
    noun, verb = ("statement", "is") if total == 1 else ("statements", "are")
    words = (
        f"{carried} of {total} {noun} ({100 * carried // total} %) {verb} supported by the quotes"
    )
    if repaired:
        words += f", {repaired} of them after a harmless difference in the quote was repaired"
    words += "."
    if own:
        words += f" {own} {'was' if own == 1 else 'were'} written by people, without a quote."
    if unsupported:
        words += " Do not rely on what is marked as unsupported."
    return words


def own_in_words(author: str | None) -> str:
    """Return the label of a statement that a person wrote without evidence.

    :param author: the name; ``None`` if the user was deleted
    """
    return f"Own words of {author or 'a person who was deleted'}."


def made_in_words(version: DocumentVersion) -> str:
    """Describe the origin of a version that no run wrote, such as ``edited by Ada, from version 1``."""
    if version.origin == "import":
        return "imported"
    verb = {"edit": "edited", "restore": "restored"}[version.origin]
    author = f" by {version.author.name}" if version.author else ""
    parent = f", from version {version.parent_number}" if version.parent_number else ""
    return f"{verb}{author}{parent}"


def deleted_in_words(name: str) -> str:
    """Return the note of a document on a deleted source."""
    return f"The source {name} was deleted. The quotes from it keep their verdicts."


def nothing_in_words(used_llm: bool) -> str:
    """Return the text of a section without statements. It makes no claim about the sources."""
    return "The model named nothing here." if used_llm else "The rules found nothing here."
