"""Measures whether a statement keeps the wording of its source or joins fragments of it.

A statement that joins short fragments can state a thing that no sentence of the source states. Of all simple
measures, the number of breaks between neighbouring words tells true from false sentences best in QAGS (see
``benchmarks/evidence``). Honest writers leave out phrases and paraphrase, so these count less or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from combine_core.language import Language

_WORD = re.compile(r"\w+")
# The most content words that are left out at once.
_GAP = 6
# The weights of leaving words out, cutting a phrase in two, and jumping between clauses.
_LEFT_OUT = 0.25
_CUT = 0.75
_BETWEEN_CLAUSES = 0.6


class Term(NamedTuple):
    """A content word: its stem and the function words right before it.

    :ivar first: whether it is the first content word of a clause
    """

    stem: str
    before: tuple[str, ...]
    first: bool


Terms = list[Term]


def terms_of(clause: str, language: Language) -> Terms:
    """Return the content words of a clause in their order, without figures, which other rules compare."""
    terms: Terms = []
    before: list[str] = []
    for word in _WORD.findall(clause.lower()):
        if word in language.stop_words:
            before.append(word)
        elif word in language.titles:
            continue
        elif not (
            word[0].isdigit()
            or (len(word) > 1 and word in language.magnitudes)
            or language.unit(word) == "%"
        ):
            terms.append(Term(language.stem(word), tuple(before), not terms))
            before.clear()
    return terms


def breaks_in(statement: Terms, sentences: Sequence[Terms]) -> float:
    """Return the least weight of breaks with which the sentences yield the statement.

    Going back, going to another sentence and adding a word count as one break each. Leaving words out and
    jumping where a clause begins count less.
    """
    there = list(chain(*sentences))
    sentence_of = [number for number, sentence in enumerate(sentences) for _ in sentence]
    places: dict[str, list[int]] = {}
    for place, term in enumerate(there):
        places.setdefault(term.stem, []).append(place)

    breaks: dict[int, float] = {}  # by the place of the last matched word
    own = 0.0  # if no word has matched yet
    for term in statement:
        least = min(breaks.values(), default=own)
        following: dict[int, float] = {}
        for place in places.get(term.stem, ()):
            between_clauses = term.first or there[place].first
            following[place] = min(
                own,
                least + (_BETWEEN_CLAUSES if between_clauses else 1),
                *(
                    breaks[last] + _left_out(there[last + 1 : place + 1], term)
                    for last in range(place - _GAP - 1, place)
                    if last in breaks and sentence_of[last] == sentence_of[place]
                ),
            )
        # An added word is between two words, or replaces one.
        for last, count in breaks.items():
            for place in (last, last + 1):
                if sentence_of[place : place + 1] == [sentence_of[last]]:
                    following[place] = min(count + 1, following.get(place, count + 1))
        breaks = following
        own += 1
    return min([own, *breaks.values()])


def _left_out(words: Sequence[Term], term: Term) -> float:
    """Return the weight of leaving out all of these words but the last, which is ``term``.

    "The [new] head [of the board] says" loses an adjective and a phrase that begins with a function word. If
    the statement keeps the function word, as in "accused of [hiding] the leak", it cuts the phrase in two.
    """
    if len(words) == 1:
        return 0
    is_phrase = words[0].before and words[0].before[-1] not in term.before
    is_adjective = not any(word.before for word in words[1:])
    is_clause = words[-1].first
    return _LEFT_OUT if is_phrase or is_adjective or is_clause else _CUT


def own_words(statement: Terms, sentences: Sequence[Terms]) -> int:
    """Return the number of words of the statement that the sentences lack."""
    there = {term.stem for term in chain(*sentences)}
    return sum(term.stem not in there for term in statement)


def is_rephrased(clauses: Sequence[Terms], sentences: Sequence[Terms]) -> bool:
    """Check whether each clause has the words of one sentence in another order: "was signed by both"."""
    there = [[term.stem for term in sentence] for sentence in sentences]
    known = [[term.stem for term in clause if term.stem in chain(*there)] for clause in clauses]
    rest = chain(*there)
    return all(any(set(clause) <= set(one) for one in there) for clause in known) and not all(
        stem in rest for stem in chain(*known)
    )
