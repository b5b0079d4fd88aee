"""Detects swapped roles, such as "Weber sued Acme" for "Acme sued Weber"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from itertools import combinations

from combine_core.evidence.stitching import Term, Terms, terms_of
from combine_core.language import Language

# The most steps from a verb to its subject or object.
_NEAR = 2
# A verb of few letters, such as "hat", between two nouns without articles.
_AROUND = re.compile(r"(?<![^\W\d_] )\b([^\W\d_a-zäöü]\w+) ([a-zäöü]{3,}) ([^\W\d_a-zäöü]\w+)")
# The words after "because", and all others.
Sides = tuple[frozenset[str], frozenset[str]]


def swaps_roles(clause: Terms, sentence: Terms, names: Collection[str], language: Language) -> bool:
    """Check whether two words of the clause, or the function words before them, are exchanged.

    In German, articles show the role of a noun and the order of words does not.
    """
    articles, directed = language.articles, language.directed
    counts = Counter(term.stem for term in sentence)
    places = {term.stem: place for place, term in enumerate(sentence) if counts[term.stem] == 1}
    known = [term for term in clause if term.stem in places]

    def now(term: Term) -> list[str]:
        return [word for word in term.before if word not in articles]

    def sentence_at(term: Term) -> Term:
        return sentence[places[term.stem]]

    def there(term: Term) -> list[str]:
        return now(sentence_at(term))

    def exchange(one: Term, other: Term) -> bool:
        """Check for exchanged prepositions: "from Oslo to Bergen" and "from Bergen to Oslo"."""
        if now(one) and now(other):
            return now(one) == there(other) != now(other) == there(one)
        # "By the CFO, Mr Hale" and "by Mr Hale, the CFO" mean the same.
        if (
            not (one.stem in names and other.stem in names)
            or abs(places[one.stem] - places[other.stem]) == 1
        ):
            return False
        # "Weber handed it to Acme" and "Acme handed it to Weber".
        here = [directed & set(term.before) for term in (one, other)]
        before = [directed & set(sentence_at(term).before) for term in (one, other)]
        return here == before[::-1] and here[0] != here[1]

    def cross(before: int, at: int, behind: int) -> bool:
        """Check whether only the words before and after the verb are exchanged."""
        one, verb, other = known[before], known[at], known[behind]
        first, middle, last = (places[term.stem] for term in (other, verb, one))
        if not middle - _NEAR <= first < middle < last <= middle + _NEAR:
            return False
        if any(term.first for term in sentence[first + 1 : last + 1]) or now(verb) != there(verb):
            return False
        # The phrases of "in March sales rose in Berlin" may be exchanged.
        around = [*known[before : behind + 1], *sentence[first : last + 1]]
        is_plain = not any(now(term) for term in around if term.stem != verb.stem)
        return is_plain or exchange(one, other)

    def turns_subject() -> bool:
        """Check for "Ash bought it from Elm" in place of "Elm bought it from Ash"."""
        first = known[0] if known and known[0] is clause[0] else None
        other = next((term for term in known if term.stem == sentence[0].stem), None)
        if first is None or other is None or first is other:
            return False
        here, before = directed & set(other.before), directed & set(sentence_at(first).before)
        return bool(here) and here == before

    if turns_subject() or any(exchange(one, other) for one, other in combinations(known, 2)):
        return True
    return bool(articles) and any(
        cross(before, at, behind)
        for at in range(len(known))
        for before in range(max(0, at - _NEAR), at)
        for behind in range(at + 1, min(len(known), at + 1 + _NEAR))
    )


def swaps_subject(claim: str, source: str, language: Language) -> bool:
    """Check for exchanged names around a verb: "Ute hat Max" for "Max hat Ute". Articles would tell."""
    if language.articles:
        return False
    said = set(_AROUND.findall(claim))
    return any((other, verb, one) in said for one, verb, other in _AROUND.findall(source))


def sides_of(sentence: str, pivot: re.Pattern[str], language: Language) -> Sides:
    """Return the words from the last pivot to the next comma, and all other words."""
    *_, match = pivot.finditer(sentence)
    end = sentence.find(",", match.end())
    end = len(sentence) if end < 0 else end

    def stems(text: str) -> frozenset[str]:
        return frozenset(term.stem for term in terms_of(text, language))

    behind = stems(sentence[match.end() : end])
    rest = stems(sentence[: match.start()] + sentence[end:])
    return behind - rest, rest - behind


def swaps_sides(claim: Sides, source: Sides) -> bool:
    """Check whether as many words of both sides are exchanged as stay behind the pivot."""
    moved = min(len(claim[0] & source[1]), len(claim[1] & source[0]))
    return moved > 0 and moved >= len(claim[0] & source[0])
