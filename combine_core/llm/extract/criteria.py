"""What a property of a schema asks for, read from its name, title and description."""

import re
from dataclasses import dataclass
from typing import Any

from combine_core.llm.extract.cues import Cue, words_of
from combine_core.llm.extract.vocabulary import NAMES

_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Criterion:
    """The sentences that a list should contain.

    With `cue`, sentences of this kind. With `general`, the most important ones. With neither, those
    about `words`.
    """

    cue: Cue | None
    general: bool
    words: tuple[str, ...]


def criterion_of_words(text: str) -> Criterion | None:
    """What a heading or an enum value such as "open_question" names; None if nothing known."""
    return _find(words_of(text.replace("_", " ")), ())


def criterion_of_property(name: str, schema: dict[str, Any]) -> Criterion:
    """What the property `name` asks for.

    The description counts only if neither name nor title contains a known word, and only with two
    known words, because a single one is often there by chance.
    """
    names = words_of(_CAMEL_CASE.sub(" ", name).replace("_", " ").replace("-", " "))
    names += words_of(str(schema.get("title", "")))
    description = words_of(str(schema.get("description", "")))
    words = tuple(dict.fromkeys([*names, *description]))
    return (
        _find(names, words)
        or _find(description, words, at_least=2)
        or Criterion(None, general=not words, words=words)
    )


def _find(words: list[str], query: tuple[str, ...], at_least: int = 1) -> Criterion | None:
    counts = {kind: sum(word in names for word in words) for kind, names in NAMES.items()}
    general = counts.pop("general")
    kind = max(counts, key=counts.__getitem__)
    if counts[kind] >= at_least:
        return Criterion(Cue(kind), general=False, words=query)
    return Criterion(None, general=True, words=query) if general >= at_least else None
