"""Find the kind of items for a property of a schema by its name, title and description."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from combine_core.llm.extract.sentence import Kind
from combine_core.llm.extract.vocabulary import names

_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Words of a schema that are not about its content.
_ASKING = frozenset(
    {
        "what",
        "which",
        "list",
        "item",
        "items",
        "each",
        "one",
        "sentence",
        "short",
        "all",
        "any",
        "was",
        "were",
        "such",
        "seen",
    }
)


@dataclass(frozen=True, slots=True)
class Criterion:
    """The items for a list: of a kind, a summary, the most important (``general``), or about ``words``."""

    kind: Kind | None = None
    summary: bool = False
    general: bool = False
    words: tuple[str, ...] = ()


def criterion_of_name(name: str) -> Criterion | None:
    """Return the criterion that a word such as "open_question" names; ``None`` if it is unknown."""
    return _criterion(_words(name), 1)


def criterion_of_property(name: str, schema: dict[str, Any]) -> Criterion:
    """Return the criterion of a property.

    Its description counts only if neither its name nor its title holds a known word, and only with two
    known words, because a single one is often there by chance.
    """
    named = _words(name) + _words(str(schema.get("title", "")))
    described = _words(str(schema.get("description", "")))
    words = tuple(dict.fromkeys(word for word in [*named, *described] if word not in _ASKING))
    return (
        _criterion(named, 1)
        or _criterion(described, 2)
        or Criterion(general=not words, words=words)
    )


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", _CAMEL_CASE.sub(" ", text).replace("_", " ").casefold())


def _criterion(words: Sequence[str], at_least: int) -> Criterion | None:
    counts = {kind: sum(word in known for word in words) for kind, known in names().items()}
    general = counts.pop("general")
    kind = max(counts, key=counts.__getitem__)
    if counts[kind] >= at_least:
        return Criterion(summary=True) if kind == "summary" else Criterion(Kind(kind))
    return Criterion(general=True) if general >= at_least else None
