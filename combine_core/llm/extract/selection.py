"""Ranks sentences with BM25, and chooses those that fit a criterion, the best first."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import bm25s
import Stemmer  # type: ignore[import-not-found]
from bm25s.stopwords import STOPWORDS_EN_PLUS, STOPWORDS_GERMAN

from combine_core.llm.extract.candidates import Candidate
from combine_core.llm.extract.criteria import Criterion
from combine_core.llm.extract.cues import Cue, is_gist, words_of

# On import bm25s sets its logger to DEBUG, and would log each index.
logging.getLogger("bm25s").setLevel(logging.WARNING)

# This many of the most frequent terms are the themes of the sources.
_THEMES = 25
# Words of a schema that are not about its content.
_ASKING = frozenset(
    ["what", "list", "item", "items", "each", "one", "sentence", "short", "all", "any"]
)
# Makes an item from a candidate; None if the item does not fit the schema.
Build = Callable[[Candidate], Any]

# Penalties larger than any score: for what is used already, and for what only fills a list up.
_USED, _FILLER = 10.0, 100.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """A candidate with its score, and the item made from it."""

    score: float
    candidate: Candidate
    item: Any


class Pool:
    """The ranked candidates of one answer.

    A choice depends on the sentences, not on their places in the text. The place only orders equals.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self._ranking = _Ranking(candidates)

    def choose(
        self,
        criterion: Criterion,
        build: Build,
        *,
        at_least: int,
        at_most: int,
        spread: bool = False,
        used: Collection[str] = (),
    ) -> list[Chosen]:
        """The candidates that fit `criterion`, the best first.

        With `spread`, each kind of sentence of each source gets its turn. A general criterion prefers
        candidates whose keys are not in `used`. If fewer than `at_least` fit, the most important
        others fill the list up.
        """
        ranked = self._rank(criterion, used)
        chosen = list(_build(_in_turns(ranked) if spread else ranked, build, at_most))
        if len(chosen) < at_least:
            there = {entry.candidate.key for entry in chosen}
            rest = (
                (score - _FILLER, candidate)
                for score, candidate in self._rank(Criterion(None, True, criterion.words), ())
                if candidate.key not in there
            )
            chosen.extend(_build(rest, build, at_least - len(chosen)))
        return sorted(chosen, key=lambda entry: (-entry.score, entry.candidate.position))

    def _rank(self, criterion: Criterion, used: Collection[str]) -> list[tuple[float, Candidate]]:
        relevance = self._ranking.relevance(criterion.words)
        ranked = []
        for fit, importance, candidate in zip(
            relevance, self._ranking.importance, self._candidates, strict=True
        ):
            if criterion.cue is not None:
                score = candidate.strength(criterion.cue)
                score = score + fit + 0.5 * importance if score else 0.0
            elif criterion.general:
                # Open questions and tasks have lists of their own.
                aside = candidate.own_cue in {Cue.QUESTION, Cue.ACTION}
                score = 2.0 + 0.3 * fit + importance - aside
                score -= _USED if candidate.key in used else 0.0
            else:
                score = fit + 0.3 * importance if fit else 0.0
            if score:
                ranked.append((score, candidate))
        return sorted(ranked, key=lambda entry: (-entry[0], entry[1].key))


def _build(
    ranked: Iterable[tuple[float, Candidate]], build: Build, at_most: int
) -> Iterator[Chosen]:
    count = 0
    for score, candidate in ranked:
        if count >= at_most:
            return
        item = build(candidate)
        if item is not None:
            count += 1
            yield Chosen(score, candidate, item)


def _in_turns(ranked: Iterable[tuple[float, Candidate]]) -> Iterator[tuple[float, Candidate]]:
    """The best of each kind and source, then the second best of each, and so on."""
    buckets: dict[Hashable, list[tuple[float, Candidate]]] = {}
    for entry in ranked:
        buckets.setdefault((entry[1].own_cue, entry[1].source), []).append(entry)
    turn = 0
    while buckets:
        buckets = {key: entries for key, entries in buckets.items() if len(entries) > turn}
        best = [entries[turn] for entries in buckets.values()]
        yield from sorted(best, key=lambda entry: (-entry[0], entry[1].key))
        turn += 1


class _Ranking:
    """The relevance and importance of each candidate, from 0 to 1, whatever their order."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        terms = _terms(words_of(candidate.text) for candidate in candidates)
        frequency = Counter(term for found in terms for term in set(found))
        self._vocabulary = {term: number for number, term in enumerate(sorted(frequency))}
        self._count = len(candidates)
        # The compiled backends differ in the last digits, so they are never used.
        self._index = bm25s.BM25(dtype="float64", backend="numpy", csc_backend="numpy")
        if self._vocabulary:
            ids = [[self._vocabulary[term] for term in found] for found in terms]
            self._index.index((ids, dict(self._vocabulary)), show_progress=False)
        # The sum of themes, hard facts, form of a sentence and purpose.
        self.importance = [
            0.3 * theme
            + 0.1 * max(candidate.cues.values(), default=0.0) / 3
            + 0.3 * candidate.weight
            + 0.3 * is_gist(candidate.text)
            for theme, candidate in zip(self._scores(_themes(frequency)), candidates, strict=True)
        ]

    def relevance(self, words: Iterable[str]) -> list[float]:
        """How well each candidate fits these words, in any inflection."""
        (terms,) = _terms([[word for word in words if word not in _ASKING]])
        return self._scores(sorted(set(terms)))

    def _scores(self, terms: Sequence[str]) -> list[float]:
        known = [term for term in terms if term in self._vocabulary]
        if not known:
            return [0.0] * self._count
        scores = self._index.get_scores(known)
        highest = float(scores.max())
        return [float(score) / highest for score in scores] if highest > 0 else [0.0] * self._count


def _themes(frequency: Counter[str]) -> list[str]:
    repeated = [
        (-count, term) for term, count in frequency.items() if count > 1 and not term.isdigit()
    ]
    return sorted(term for _, term in sorted(repeated)[:_THEMES])


def _terms(texts: Iterable[list[str]]) -> list[list[str]]:
    """The stems of each text, without stop words."""
    stop = _stop_words()
    texts = [[word for word in words if word not in stop] for words in texts]
    words = sorted({word for found in texts for word in found})
    # Both stemmers work on each word, German first. A stemmer is not thread-safe, so it is not kept.
    stems = Stemmer.Stemmer("english").stemWords(Stemmer.Stemmer("german").stemWords(words))
    stem_of = dict(zip(words, stems, strict=True))
    return [[stem_of[word] for word in found] for found in texts]


@cache
def _stop_words() -> frozenset[str]:
    return frozenset(STOPWORDS_EN_PLUS) | frozenset(STOPWORDS_GERMAN)
