"""Finds statements that swap who does what: "Weber sued Acme" where the source says "Acme sued Weber"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from itertools import combinations

from combine_core.evidence.stitching import Term, Terms, terms_of
from combine_core.language import Language

# One word may stand between a verb and who does it.
_NEAR = 2
# The words behind "because", and all others.
Sides = tuple[frozenset[str], frozenset[str]]


def swaps_roles(clause: Terms, sentence: Terms, articles: Collection[str]) -> bool:
    """Whether two words of the clause have changed places, or the function words before them.

    :param articles: the function words that say nothing of the role of a noun. Empty where they do, as in
        German, and where the order of words says little
    """
    counts = Counter(term.stem for term in sentence)
    places = {term.stem: place for place, term in enumerate(sentence) if counts[term.stem] == 1}
    known = [term for term in clause if term.stem in places]

    def now(term: Term) -> list[str]:
        return [word for word in term.before if word not in articles]

    def there(term: Term) -> list[str]:
        return now(sentence[places[term.stem]])

    def exchange(one: Term, other: Term) -> bool:
        """ "From Oslo to Bergen" and "from Bergen to Oslo"."""
        return now(one) == there(other) != now(other) == there(one)

    def cross(before: int, at: int, behind: int) -> bool:
        """Whether the words before and behind the verb have changed places, and nothing else has."""
        one, verb, other = known[before], known[at], known[behind]
        first, middle, last = (places[term.stem] for term in (other, verb, one))
        if not middle - _NEAR <= first < middle < last <= middle + _NEAR:
            return False
        if any(term.first for term in sentence[first + 1 : last + 1]) or now(verb) != there(verb):
            return False
        # "In March sales rose in Berlin" may be said the other way round.
        around = [*known[before : behind + 1], *sentence[first : last + 1]]
        is_plain = not any(now(term) for term in around if term.stem != verb.stem)
        return is_plain or exchange(one, other)

    if any(
        now(one) and now(other) and exchange(one, other) for one, other in combinations(known, 2)
    ):
        return True
    return bool(articles) and any(
        cross(before, at, behind)
        for at in range(len(known))
        for before in range(max(0, at - _NEAR), at)
        for behind in range(at + 1, min(len(known), at + 1 + _NEAR))
    )


def sides_of(sentence: str, pivot: re.Pattern[str], language: Language) -> Sides:
    """The words behind the last pivot, up to the next comma, and all others."""
    *_, match = pivot.finditer(sentence)
    end = sentence.find(",", match.end())
    end = len(sentence) if end < 0 else end

    def stems(text: str) -> frozenset[str]:
        return frozenset(term.stem for term in terms_of(text, language))

    behind = stems(sentence[match.end() : end])
    rest = stems(sentence[: match.start()] + sentence[end:])
    return behind - rest, rest - behind


def swaps_sides(claim: Sides, source: Sides) -> bool:
    """Whether words of each side stand on the other one, and none behind the pivot stays there."""
    return bool(claim[0] & source[1] and claim[1] & source[0] and not claim[0] & source[0])
