"""Chooses the items for a list: those of its kind, the most important ones, or those about its words."""

import heapq
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any

from combine_core.language import Language, lowered
from combine_core.llm.extract.criteria import Criterion
from combine_core.llm.extract.items import FIT, Item
from combine_core.llm.extract.sentence import Kind, Section
from combine_core.llm.extract.vocabulary import vocabulary_of

# This many of the most frequent stems are the themes of the sources.
_THEMES = 25
# An item with as many of them is about nothing else.
_FULL_OF_THEMES = 5
_BEGINNING = 6
_SENTENCE = 8
# By how much each further item under a heading counts less.
_REPEATED = 0.03
# A summary is short.
_LONGEST_SUMMARY = 3

_WORD = re.compile(r"[^\W\d_]{3,}")
# Makes a value of an item; None if the value does not fit the schema.
Build = Callable[[Item], Any]


class Pool:
    """The items of one answer, with what they have in common."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self._stems = [_stems(item.text, item.language) for item in items]
        self._frequency = Counter(stem for stems in self._stems for stem in stems)
        repeated = [(-count, stem) for stem, count in self._frequency.items() if count > 1]
        self._themes = {stem for _, stem in heapq.nsmallest(_THEMES, repeated)}

    def choose(
        self,
        criterion: Criterion,
        build: Build,
        *,
        at_least: int,
        at_most: int,
        mixed: bool = False,
        used: Collection[str] = (),
    ) -> list[tuple[Item, Any]]:
        """The best items with their values, in the order of the sources.

        :param mixed: the list tells kinds apart, so it takes every kind
        :param used: keys of items that stand in another list; only a list of one kind repeats them
        """
        ranked = self._rank(criterion, mixed, used)
        if mixed:
            ranked = _in_turns(ranked)
        most = min(at_most, _LONGEST_SUMMARY) if criterion.summary else at_most
        if criterion.summary and not ranked:
            ranked = [first for first in self._items[:1] if _introduces(first)]
        chosen = list(_build(ranked, build, most))
        if len(chosen) < at_least:
            there = {item.key for item, _ in chosen}
            rest = (item for item in self._items if item.key not in there)
            chosen += _build(rest, build, at_least - len(chosen))
        return sorted(chosen, key=lambda entry: entry[0].position)

    def _rank(self, criterion: Criterion, mixed: bool, used: Collection[str]) -> list[Item]:
        scored = []
        for item, stems in zip(self._items, self._stems, strict=True):
            score = self._score(criterion, mixed, item, stems)
            taken = criterion.kind is None and item.key in used
            if score > 0 and not taken:
                scored.append((-score, item.key, item))
        scored.sort(key=lambda entry: entry[:2])
        if criterion.kind is not None:
            return [item for _, _, item in scored]
        return _spread(scored)

    def _score(self, criterion: Criterion, mixed: bool, item: Item, stems: frozenset[str]) -> float:
        theme = 0.5 * min(len(stems & self._themes), _FULL_OF_THEMES) / _FULL_OF_THEMES
        counts = item.kind is not Kind.NUMBER or item.weight > 0
        if criterion.kind is not None:
            bonus = 0.5 * sum(name in item.fields for name in ("owner", "due"))
            return 1 + theme + bonus if item.kind is criterion.kind and counts else 0.0
        if criterion.words and not criterion.general:
            wanted = {item.language.stem(word) for word in criterion.words}
            rarity = sum(
                math.log(1 + len(self._items) / self._frequency[stem]) for stem in stems & wanted
            )
            return rarity + 0.1 * item.weight if rarity else 0.0
        if mixed and item.kind is not Kind.STATEMENT and counts:
            return 2 + theme
        if item.kind in (Kind.QUESTION, Kind.ACTION) or item.weight < FIT:
            return 0.0
        # What a text is about, it says at its beginning.
        gist = item.position < _BEGINNING and (
            vocabulary_of(item.language).gist.search(lowered(item.text)) is not None
        )
        if criterion.summary and not gist and item.section is not Section.SUMMARY:
            return 0.0
        return item.weight + theme + 0.5 * gist


def _introduces(first: Item) -> bool:
    """Check whether the first item of a text without a summary is a sentence that may introduce it."""
    sentence = first.text.endswith(".") and len(first.text.split()) >= _SENTENCE
    return sentence and first.kind is Kind.STATEMENT and "speaker" not in first.fields


def _spread(scored: Iterable[tuple[float, str, Item]]) -> list[Item]:
    """Rank what stands under a heading lower, the more of it is ranked before."""
    taken: Counter[Hashable] = Counter()
    ranked: list[tuple[float, int, Item]] = []
    for place, (score, _, item) in enumerate(scored):
        topic = (item.source, item.fields.get("heading"))
        ranked.append((score + _REPEATED * taken[topic], place, item))
        taken[topic] += 1
    return [item for *_, item in sorted(ranked, key=lambda entry: entry[:2])]


def _build(ranked: Iterable[Item], build: Build, at_most: int) -> Iterable[tuple[Item, Any]]:
    count = 0
    for item in ranked:
        if count >= at_most:
            return
        value = build(item)
        if value is not None:
            count += 1
            yield item, value


def _in_turns(ranked: Iterable[Item]) -> list[Item]:
    """The best of each kind and source, then the second best of each, and so on."""
    turns: list[tuple[int, int, Item]] = []
    taken: Counter[Hashable] = Counter()
    for place, item in enumerate(ranked):
        bucket = (item.kind, item.source)
        turns.append((taken[bucket], place, item))
        taken[bucket] += 1
    return [item for *_, item in sorted(turns, key=lambda turn: turn[:2])]


def _stems(text: str, language: Language) -> frozenset[str]:
    return language.stems(set(_WORD.findall(text.casefold())) - language.stop_words)
