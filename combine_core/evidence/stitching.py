"""Measures whether a statement repeats stretches of its source, or is put together from scraps of it.

A statement made of short scraps reads well and says what no sentence says. Human readers of such sentences
(QAGS, CNN/DM) find most of the false ones among them: of all simple measures, the number of scraps per word
tells true from false best (see ``benchmarks/evidence``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, chain

from combine_core.language import Language

_WORD = re.compile(r"\w+")
# So many clauses of its sentence a stretch may leave out.
_LEFT_OUT = 2

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


def scraps_in(statement: Content, sentences: Sequence[Sentence]) -> int:
    """The number of stretches of the sentences that make up the statement. A new word is one of its own.

    A stretch may leave out a clause or two of its sentence, such as what stands between two dashes.
    """
    places: dict[str, set[int]] = {}
    after: list[set[int]] = []
    for sentence in sentences:
        begins = list(accumulate(map(len, sentence), initial=len(after)))
        for number, clause in enumerate(sentence):
            for word in clause:
                places.setdefault(word, set()).add(len(after))
                after.append({len(after) + 1})
            if clause:
                after[-1] = set(begins[number + 1 : -1][: 1 + _LEFT_OUT])
    scraps = 0
    expected: set[int] = set()
    for word in statement:
        there = places.get(word, set())
        scraps += expected.isdisjoint(there)
        expected = {place for now in expected & there or there for place in after[now]}
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
