"""Measures whether a statement repeats stretches of its source, or is put together from scraps of it.

A statement made of short scraps reads well and says what no sentence says. Human readers of such sentences
(QAGS, CNN/DM) find most of the false ones among them: of all simple measures, the number of scraps per word
tells true from false best (see ``benchmarks/evidence``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain

from combine_core.language import Language

_WORD = re.compile(r"\w+")

# The stems of the words of a clause that say something, in their order, and the clauses of a sentence.
Content = list[str]
Sentence = list[Content]


def content_of(text: str, language: Language) -> Content:
    """The stems of the words that say something. "Million" has many spellings, and is left out."""
    words = _WORD.findall(text.lower())
    return [
        language.stem(word)
        for word in words
        if word not in language.stop_words and word not in language.magnitudes
    ]


def scraps_in(statement: Iterable[str], sentences: Sequence[Sentence]) -> int:
    """The number of stretches of the sentences that make up the statement. A new word is one of its own.

    A stretch may leave out whole clauses of its sentence, such as what stands between two dashes.
    """
    places: dict[str, list[int]] = {}
    # By the place of a word that begins or ends a clause: its sentence.
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    place = 0
    for number, sentence in enumerate(sentences):
        for clause in filter(None, sentence):
            begins[place] = number
            for word in clause:
                places.setdefault(word, []).append(place)
                place += 1
            ends[place - 1] = number
    scraps = 0
    before: set[int] = set()
    for word in statement:
        ended = [(ends[place], place) for place in before if place in ends]
        here = places.get(word, [])
        goes_on = {
            place
            for place in here
            if (place - 1 in before and ends.get(place - 1) == begins.get(place))
            or any(number == begins.get(place) and end < place for number, end in ended)
        }
        scraps += not goes_on
        before = goes_on or set(here)
    return scraps


def new_share(statement: Content, sentences: Sequence[Sentence]) -> float:
    """The share of the statement's words that the sentences do not have: high for a paraphrase."""
    there = _words(sentences)
    return sum(word not in there for word in statement) / max(1, len(statement))


def is_rephrased(clauses: Sequence[Content], sentences: Sequence[Sentence]) -> bool:
    """Whether each clause says in another order what one sentence says: "was signed by both parties"."""
    there = _words(sentences)
    known = [[word for word in clause if word in there] for clause in clauses]
    of_one = all(any(set(clause) <= _words([one]) for one in sentences) for clause in known)
    rest = chain.from_iterable(chain.from_iterable(sentences))
    return of_one and not all(word in rest for clause in known for word in clause)


def _words(sentences: Sequence[Sentence]) -> set[str]:
    return set(chain.from_iterable(chain.from_iterable(sentences)))
