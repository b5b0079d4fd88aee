"""Ranks sentences: by what is asked for (BM25), and by how much each says about the whole."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

import bm25s
import Stemmer  # type: ignore[import-not-found]
from bm25s.stopwords import STOPWORDS_EN_PLUS, STOPWORDS_GERMAN

from combine_core.llm.extract.candidates import Candidate
from combine_core.llm.extract.cues import is_gist, words_of
from combine_core.llm.extract.vocabulary import word_set

# On import bm25s sets its logger to DEBUG: one line for each index, into any handler of the root.
logging.getLogger("bm25s").setLevel(logging.WARNING)

# So many of the most frequent terms stand for what the whole is about.
_THEMES = 25
# Words of a schema that say nothing about what is asked for.
_ASKING = word_set("what list item items each one sentence short all any")


class Ranking:
    """Relevance and importance of candidates, each from 0 to 1, by their index.

    The figures do not depend on the order of the candidates.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        terms = _terms(words_of(candidate.text) for candidate in candidates)
        frequency = Counter(term for found in terms for term in set(found))
        self._vocabulary = {term: number for number, term in enumerate(sorted(frequency))}
        self._count = len(candidates)
        # No compiled backends: they may be installed, and differ in the last digits.
        self._index = bm25s.BM25(dtype="float64", backend="numpy", csc_backend="numpy")
        if self._vocabulary:
            ids = [[self._vocabulary[term] for term in found] for found in terms]
            self._index.index((ids, dict(self._vocabulary)), show_progress=False)
        # How much each says about the whole: themes, hard facts, form of a sentence, purpose.
        self.importance = [
            0.3 * theme
            + 0.1 * max(candidate.cues.values(), default=0.0) / 3
            + 0.3 * candidate.weight
            + 0.3 * is_gist(candidate.text)
            for theme, candidate in zip(self._scores(_themes(frequency)), candidates, strict=True)
        ]

    def relevance(self, words: Iterable[str]) -> list[float]:
        """How well each fits these words (of any form: they are stemmed); 0 is not at all."""
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
    """The stems of the words that carry meaning, of each text."""
    stop = _stop_words()
    texts = [[word for word in words if word not in stop] for words in texts]
    words = sorted({word for found in texts for word in found})
    # One stem for both languages: German endings first, then English ones. A stemmer serves one
    # thread only, so each call has its own.
    stems = Stemmer.Stemmer("english").stemWords(Stemmer.Stemmer("german").stemWords(words))
    stem_of = dict(zip(words, stems, strict=True))
    return [[stem_of[word] for word in found] for found in texts]


@cache
def _stop_words() -> frozenset[str]:
    return frozenset(STOPWORDS_EN_PLUS) | frozenset(STOPWORDS_GERMAN)
