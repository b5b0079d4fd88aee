"""Tell a quantity from other numbers, such as dates, versions and names."""

import re

from combine_core.evidence.facts import Number, numbers_of
from combine_core.language import Language

_NO_PROSE = re.compile(r"`[^`]*`|https?://\S+|\[[^\]]*\]\([^)]*\)")
_WORD = re.compile(r"\w+(?:[-'’]\w+)*")
# Behind a number they make a name of it: "8037 introduces …".
_VERBS = frozenset(
    (
        "is",
        "was",
        "has",
        "does",
        "adds",
        "allows",
        "gives",
        "includes",
        "introduces",
        "looks",
        "makes",
        "means",
        "needs",
        "requires",
        "seems",
        "uses",
    )
)
_NAMING = re.compile(r"[^\W\d_]{3,}")
_DIGIT = re.compile(r"\d")
_EXAMPLE = re.compile(r"(?:for example|for instance|e\.g\.|zum beispiel|z\. ?b\.)")
# What a figure behind one of these is: an identifier.
_IDENTIFIER = re.compile(
    r"(?:#|[^\W\d_]-|\b(?:issues?|prs?|version|v|stage|step|slides?|pages?|chapter|section|item|phase|level|rfc|pep|eip|"
    r"number|nr|no|figure|table|line|release|type|option|article|art|top|seite|zeile|kapitel|abschnitt|punkt|"
    r"http|error|code|port|room|raum|tg|es|ipv)\.?\s?|(?-i:[A-Z][\w.-]*\s))$",
    re.IGNORECASE,
)
# So many minutes or seconds are the time that a talk takes.
_SHORT_TALK = 30
_RANGE = re.compile(r"[\d.,]+\s?[-–]?\s?$")
# "15L" is the name of a route, "3D" no quantity, "404 errors" are of one sort.
_ROUTE = re.compile(r"\s*(?:\d{2,}L\b|\d+[A-Z]\d|\dD\b|[45]\d\d (?:errors|responses|codes)\b)")


def has_quantity(
    text: str, low: str, language: Language, codes: frozenset[str], *, spoken: bool
) -> bool:
    """Check for an amount, a share, a duration or a count; a date, time or identifier is none.

    :param codes: numbers that the source uses as names
    :param spoken: somebody says it, and small counts are small talk
    """
    if not _DIGIT.search(text) and not language.number_word.search(low):
        return False
    if _EXAMPLE.match(low):
        return False
    plain = _NO_PROSE.sub(" ", text)
    numbers = list(numbers_of(plain, language))
    if len(numbers) > 2 and len(numbers) > len(_NAMING.findall(plain)):
        return False  # a row of figures whose columns have no names
    return any(
        _is_quantity(plain, number, language)
        and not _is_beside_the_matter(plain, number, codes, spoken=spoken)
        for number in numbers
    )


def _is_beside_the_matter(
    text: str, number: Number, codes: frozenset[str], *, spoken: bool
) -> bool:
    """Check for a number that is a name or a duration of the meeting, such as "5 minutes left"."""
    if text[number.start : number.end] in codes:
        return True
    small = not number.known_unit and number.value <= 2
    return spoken and (small or (number.unit in ("min", "s") and number.value <= _SHORT_TALK))


def _is_quantity(text: str, number: Number, language: Language) -> bool:
    if not number.known_unit:
        written = text[number.start : number.end].strip(" -+−–")
        noun = _WORD.match(text[number.end :].lstrip(" \u00a0-"))
        counts = (
            number.unit
            and written.replace(",", "").replace(" ", "").isdigit()
            and noun is not None
            and _is_plural(noun[0], language)
            and number.value > 1
            and not (1900 <= number.value <= 2100)
        )
        if not counts:
            return False
    if _ROUTE.match(text, number.start):
        return False
    before = text[max(0, number.start - 20) : number.start]
    # Of "Figure 2-2" and of "20-30 users", what stands before the first number tells.
    before = _RANGE.sub("", before)
    if before.endswith("/"):
        return False
    return not (before.endswith("#") if number.known_unit else _IDENTIFIER.search(before))


def _is_plural(noun: str, language: Language) -> bool:
    if language.code == "de":
        return noun[0].isupper()
    if noun in ("people", "staff", "men", "women"):
        return True
    return noun.endswith("s") and not noun.endswith("ss") and noun not in _VERBS
