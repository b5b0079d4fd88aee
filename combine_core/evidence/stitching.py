"""Measures whether a statement repeats stretches of its source, or is put together from scraps of it.

A statement made of short scraps from several sentences reads well and says what no sentence says. Human
readers of such sentences (QAGS, CNN/DM) find most of the false ones among them: of all simple measures,
the number of scraps per word tells true from false best (see ``benchmarks/evidence``).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from combine_core.language import Language

_WORD = re.compile(r"\w+")


def words_of(text: str, language: Language) -> list[str]:
    """The stems of all words, in the order of the text."""
    return [language.stem(word) for word in _WORD.findall(text.lower())]


def scrap_density(
    statement: list[str], source: list[str], idle: Collection[str] = frozenset()
) -> float:
    """The number of stretches of ``source`` that make up ``statement``, divided by its words.

    :param idle: words that join stretches, such as "and"; a stretch of them alone does not count
    :returns: near 0 if the statement stands in the source as it is, 1 if no two words do
    """
    if not statement:
        return 0.0
    text = f" {' '.join(source)} "
    scraps = start = 0
    while start < len(statement):
        end = start + 1
        while end < len(statement) and f" {' '.join(statement[start : end + 1])} " in text:
            end += 1
        scraps += any(word not in idle for word in statement[start:end])
        start = end
    return scraps / len(statement)


def new_share(statement: list[str], source: list[str]) -> float:
    """The share of the statement's words that the source does not have: high for a paraphrase."""
    there = set(source)
    return sum(word not in there for word in statement) / max(1, len(statement))
