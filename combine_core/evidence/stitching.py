"""Measures how far a statement keeps to the wording of its source, or is put together from scraps of it.

A statement made of short scraps reads well and says what no sentence says. Human readers of such sentences
(QAGS, CNN/DM) find most of the false ones among them: of all simple measures, the number of breaks between
neighbouring words tells true from false best (see ``benchmarks/evidence``). Two things are left to who writes
honestly: to leave out a phrase, and to say a sentence in another order or with other words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from combine_core.language import Language

_WORD = re.compile(r"\w+")
# What is left out at once has at most so many words that say something.
_GAP = 6
# How much of a break it is to leave words out, to cut a phrase in two, and to go elsewhere between clauses.
_LEFT_OUT = 0.25
_CUT = 0.75
_BETWEEN_CLAUSES = 0.6


class Term(NamedTuple):
    """A word that says something: its stem, and the function words right before it.

    :ivar first: whether it begins a clause
    """

    stem: str
    before: tuple[str, ...]
    first: bool


Terms = list[Term]


def terms_of(clause: str, language: Language) -> Terms:
    """The words of a clause that say something, in their order.

    Figures have many spellings, "%" has two, and there are rules for both.
    """
    terms: Terms = []
    before: list[str] = []
    for word in _WORD.findall(clause.lower()):
        if word in language.stop_words:
            before.append(word)
        elif not (word[0].isdigit() or word in language.magnitudes or language.unit(word) == "%"):
            terms.append(Term(language.stem(word), tuple(before), not terms))
            before.clear()
    return terms


def breaks_in(statement: Terms, sentences: Sequence[Terms]) -> float:
    """How often the statement breaks with the wording of the sentences, read in the way that breaks least.

    It is a break to go back, to go to another sentence, and to say a word of its own. It is less of one to
    leave out words of the sentence, and to go elsewhere where a clause begins.
    """
    there = list(chain(*sentences))
    sentence_of = [number for number, sentence in enumerate(sentences) for _ in sentence]
    places: dict[str, list[int]] = {}
    for place, term in enumerate(there):
        places.setdefault(term.stem, []).append(place)

    breaks: dict[int, float] = {}  # by the place of the word that was said last
    own = 0.0  # if all words until now are its own
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
        # A word of its own stands between others, or in the place of one.
        for last, count in breaks.items():
            for place in (last, last + 1):
                if sentence_of[place : place + 1] == [sentence_of[last]]:
                    following[place] = min(count + 1, following.get(place, count + 1))
        breaks = following
        own += 1
    return min([own, *breaks.values()])


def _left_out(words: Sequence[Term], term: Term) -> float:
    """How much of a break it is to leave out all but the last of these words, which is ``term``.

    "The [new] head [of the board] says" loses an adjective, and a phrase that begins with a function word. If
    the statement keeps that word, as in "accused of [hiding] the leak", it cuts the phrase in two.
    """
    if len(words) == 1:
        return 0
    is_phrase = words[0].before and words[0].before[-1] not in term.before
    is_adjective = not any(word.before for word in words[1:])
    is_clause = words[-1].first
    return _LEFT_OUT if is_phrase or is_adjective or is_clause else _CUT


def own_words(statement: Terms, sentences: Sequence[Terms]) -> int:
    """The number of the statement's words that the sentences do not have."""
    there = {term.stem for term in chain(*sentences)}
    return sum(term.stem not in there for term in statement)


def is_rephrased(clauses: Sequence[Terms], sentences: Sequence[Terms]) -> bool:
    """Whether each clause says in another order what one sentence says: "was signed by both parties"."""
    there = [[term.stem for term in sentence] for sentence in sentences]
    known = [[term.stem for term in clause if term.stem in chain(*there)] for clause in clauses]
    rest = chain(*there)
    return all(any(set(clause) <= set(one) for one in there) for clause in known) and not all(
        stem in rest for stem in chain(*known)
    )
