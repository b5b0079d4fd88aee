"""Chooses the sentences that fit a wish, the best first."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from combine_core.llm.extract.candidates import Candidate
from combine_core.llm.extract.cues import Cue
from combine_core.llm.extract.ranking import Ranking
from combine_core.llm.extract.wishes import Wish

# Makes an item of a candidate; None if the item would not fit the schema.
Build = Callable[[Candidate], Any]

# Distances between tiers, wider than any score: what is there already, what only fills up.
_USED, _FILLER = 10.0, 100.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """A candidate, the item made of it, and the score that it was chosen by."""

    score: float
    candidate: Candidate
    item: Any


class Pool:
    """The candidates of one answer, ranked. What it chooses depends on the sentences alone, not on
    their places in the text; the place only orders equals.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self._ranking = Ranking(candidates)

    def choose(
        self,
        wish: Wish,
        build: Build,
        *,
        at_least: int,
        at_most: int,
        spread: bool = False,
        used: Collection[str] = (),
    ) -> list[Chosen]:
        """The candidates that fit `wish`, the best first.

        With `spread` the statements, decisions, numbers, questions and actions of every source get
        their turn. A general wish takes what is not yet `used` (keys) first. If fewer than
        `at_least` fit, what matters most fills up.
        """
        ranked = self._rank(wish, used)
        chosen = list(_build(_in_turns(ranked) if spread else ranked, build, at_most))
        if len(chosen) < at_least:
            there = {entry.candidate.key for entry in chosen}
            rest = (
                (score - _FILLER, candidate)
                for score, candidate in self._rank(Wish(None, True, wish.words), ())
                if candidate.key not in there
            )
            chosen.extend(_build(rest, build, at_least - len(chosen)))
        return sorted(chosen, key=lambda entry: (-entry.score, entry.candidate.position))

    def _rank(self, wish: Wish, used: Collection[str]) -> list[tuple[float, Candidate]]:
        relevance = self._ranking.relevance(wish.words)
        ranked = []
        for fit, importance, candidate in zip(
            relevance, self._ranking.importance, self._candidates, strict=True
        ):
            if wish.cue is not None:
                score = candidate.strength(wish.cue)
                score = score + fit + 0.5 * importance if score else 0.0
            elif wish.general:
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
