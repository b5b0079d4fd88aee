"""Measures whether a statement repeats stretches of its source, or is put together from scraps of it.

A statement made of short scraps reads well and says what no sentence says. Human readers of such sentences
(QAGS, CNN/DM) find most of the false ones among them: of all simple measures, the number of scraps per word
tells true from false best (see ``benchmarks/evidence``). Two things are left to who writes honestly: to leave
out a phrase, and to say a sentence in another order or with another word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from combine_core.language import Language

_WORD = re.compile(r"\w+")
# A phrase that is left out has at most so many words that say something.
_PHRASE = 4
# A word that the source does not have counts as a part of a scrap.
_NEW = 0.5


class Term(NamedTuple):
    """A word that says something: its stem, and the function words right before it."""

    stem: str
    before: tuple[str, ...]

    @property
    def is_figure(self) -> bool:
        return self.stem[0].isdigit()


Terms = list[Term]


def terms_of(text: str, language: Language) -> Terms:
    """The words that say something, in their order. "Million" has many spellings, and is left out."""
    terms: Terms = []
    before: list[str] = []
    for word in _WORD.findall(text.lower()):
        if word in language.stop_words:
            before.append(word)
        elif word not in language.magnitudes:
            terms.append(Term(language.stem(word), tuple(before)))
            before.clear()
    return terms


def scraps_in(statement: Terms, sentences: Sequence[Sequence[Terms]]) -> float:
    """The number of stretches of the sentences that make up the statement.

    A stretch may leave out a clause or a phrase, which begins with a function word: "the report [of the
    board] says". If the statement keeps that word, as in "accused of [hiding] the leak", it is cut in two.
    """
    places: dict[str, set[int]] = {}
    opening: list[str] = []  # by place: the word that opens a phrase there
    for sentence in sentences:
        for clause in sentence:
            for number, term in enumerate(clause):
                places.setdefault(term.stem, set()).add(len(opening))
                opening.append(term.before[-1] if term.before else "" if number else ",")
        # Places of no word, so that no stretch reaches the next sentence.
        opening += [""] * (_PHRASE + 1)

    def next_to(place: int, term: Term) -> Iterator[int]:
        yield place + 1
        if opening[place + 1 : place + 2] not in ([], [""], *([word] for word in term.before)):
            yield from range(place + 2, place + 2 + _PHRASE)

    scraps = 0.0
    here: set[int] = set()
    for term in statement:
        there = places.get(term.stem)
        if there is None:
            # Figures have many spellings as well, and rules of their own.
            scraps += 0 if term.is_figure else _NEW
            here |= {place + 1 for place in here}
            continue
        goes_on = {following for place in here for following in next_to(place, term)} & there
        scraps += not goes_on
        here = goes_on or there
    return scraps


def own_share(statement: Terms, sentences: Sequence[Sequence[Terms]]) -> float:
    """The share of the statement's words that the sentences do not have."""
    there = {term.stem for sentence in sentences for term in chain(*sentence)}
    return sum(term.stem not in there for term in statement) / len(statement)


def is_rephrased(clauses: Sequence[Terms], sentences: Sequence[Sequence[Terms]]) -> bool:
    """Whether each clause says in another order what one sentence says: "was signed by both parties"."""
    there = [[term.stem for term in chain(*sentence)] for sentence in sentences]
    known = [[term.stem for term in clause if term.stem in chain(*there)] for clause in clauses]
    rest = chain(*there)
    return all(any(set(clause) <= set(one) for one in there) for clause in known) and not all(
        stem in rest for stem in chain(*known)
    )
