"""What a sentence is: an open question, a decision, an action, a number. English and German.

The rules look at the sentence alone, never at its place in the text.
"""

import itertools
import re
from collections.abc import Sequence
from enum import StrEnum

from combine_core.llm.extract import vocabulary as v


class Cue(StrEnum):
    """What a sentence may be, beside a plain statement."""

    QUESTION = "question"
    DECISION = "decision"
    ACTION = "action"
    NUMBER = "number"


_WORD = re.compile(r"\w+(?:[-'\u2019]\w+)*")
_LABEL = re.compile(r"\W*(\w[\w -]{0,30}?)\W*:(?=\W*\s|$)")
_QUESTION_MARK = re.compile(r"\?[\"'”\u2019»)\]*_`\s]*$")
_CODE = re.compile(r"`[^`]*`|https?://\S+")
# A figure of its own: no part of a word, a version, a path or a name such as S1.
_FIGURE = re.compile(
    r"(?<![\w.,/#_])(?<!\w[-+])[-+\u2212~≈<>≤≥]?[€$£¥]?\d++(?:[.,:/'\u2019\-]\d++)*+"
)
_UNIT = re.compile(r"\s?([^\W\d_]+(?:/h|²)?|[€$£¥%‰]|°C)")
_WORD_BEFORE = re.compile(r"([^\W\d_]+|[€$£¥])\.? ?$")
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./](?:\d{4}|\d\d)|\d\d?:\d\d")
_DAY = re.compile(r"(\d\d?)(?:st|nd|rd|th|\.)?$")
_DIGIT = re.compile(r"\d")
_QUARTER = re.compile(r"\b(?:Q[1-4]|KW ?\d\d?)\b")


# Below this a cue is a hint: enough to fill a list with, too little to say what a sentence is.
SURE = 1.0
_WEAK = 0.75


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.casefold())


def cues_of(text: str) -> dict[Cue, float]:
    """What the sentence is, each with a strength from above 0 to 3."""
    words = words_of(text)
    padded = f" {' '.join(words)} "
    label = _label_of(text)
    found: dict[Cue, float] = {}
    if _is_open(text, words, padded, label):
        found[Cue.QUESTION] = 3.0
    if strength := _decision(text, words, padded, label):
        found[Cue.DECISION] = strength
    if Cue.QUESTION not in found and (strength := _action(text, words, padded, label)):
        found[Cue.ACTION] = strength
    if strength := _number(text, words):
        found[Cue.NUMBER] = strength
    return found


def _label_of(text: str) -> str:
    if ":" not in text[:40]:
        return ""
    match = _LABEL.match(text)
    return match[1].casefold() if match else ""


def _is_open(text: str, words: Sequence[str], padded: str, label: str) -> bool:
    return (
        ("?" in text and ("??" in text or _QUESTION_MARK.search(text) is not None))
        or not v.OPEN_WORDS.isdisjoint(words)
        or not v.OPEN_LABELS.isdisjoint(label.split())
        or v.OPEN_PHRASES.are_in(words, padded)
    )


def _decision(text: str, words: Sequence[str], padded: str, label: str) -> float:
    if not v.DECISION_LABELS.isdisjoint(label.split()):
        return 3.0
    decided = not v.DECISION_WORDS.isdisjoint(words) or v.DECISION_PHRASES.are_in(words, padded)
    if not decided and v.DECISION_NOUNS.isdisjoint(words):
        return 0.0
    undecided = (
        text.rstrip().endswith("?")
        or v.NOT_DECIDED_PHRASES.are_in(words, padded)
        or v.OPEN_PHRASES.are_in(words, padded)
    )
    if undecided:
        return 0.0
    return 2.0 if decided else _WEAK


def _action(text: str, words: Sequence[str], padded: str, label: str) -> float:
    if (
        not v.TODO_WORDS.isdisjoint(words)
        or not v.ACTION_LABELS.isdisjoint(label.split())
        or v.TODO_PHRASES.are_in(words, padded)
    ):
        return 3.0
    due = 0.0 if v.DUE_WORDS.isdisjoint(words) else 0.5
    if _is_imperative(text, words) or not v.POLITE_WORDS.isdisjoint(words):
        return 2.0 + due
    if v.DUTY_WORDS.isdisjoint(words) and not v.DUTY_PHRASES.are_in(words, padded):
        return 0.0
    return 1.5 + due if _has_owner(text) else _WEAK


def _is_imperative(text: str, words: Sequence[str]) -> bool:
    first = 0
    while first < len(words) - 1 and words[first] in v.OPENERS:
        first += 1
    if len(words) - first < 2:
        return False
    if text.lstrip("*_").startswith("`") or " | " in text:
        return False  # code, or a row of a table
    if words[first] in v.IMPERATIVES:
        behind = text.casefold().partition(words[first])[2].lstrip("*_`")
        return behind.startswith(" ") and (
            words[first + 1] not in v.NOT_AFTER_IMPERATIVE and behind.lstrip()[:1] not in "|:=("
        )
    # A note, not a sentence: no full stop, and the verb stands last.
    return (
        words[-1].endswith(v.INFINITIVE_ENDINGS)
        and len(words) <= 12
        and text[-1:].isalpha()
        and text[:1].isupper()
        and v.DUTY_WORDS.isdisjoint(words)
    )


def _has_owner(text: str) -> bool:
    """Someone is named right before the word of duty: "we must", "Mrs Olsen will"."""
    words = _WORD.findall(text)
    for number, word in enumerate(words[1:], 1):
        if word.casefold() not in v.DUTY_WORDS:
            continue
        if words[number - 1].casefold() in v.OWNERS:
            return True
        # A name; behind an article or an adjective it is a German noun.
        before = words[number - 2] if number > 1 else ""
        if words[number - 1][:1].isupper() and before.casefold() not in v.ARTICLES:
            return number == 1 or before[:1].isupper()
    return False


def _number(text: str, words: Sequence[str]) -> float:
    strength = 0.0
    if _DIGIT.search(text):
        plain = _CODE.sub(" ", text) if "`" in text or "://" in text else text
        strength = max((_figure(plain, match) for match in _FIGURE.finditer(plain)), default=0.0)
        if strength < 3.0 and _QUARTER.search(plain):
            strength = 3.0
    if strength < 2.0 and not v.NUMBER_WORDS.isdisjoint(words):
        pairs = itertools.pairwise(words)
        if any(a in v.NUMBER_WORDS and (b in v.UNITS or b in v.CURRENCIES) for a, b in pairs):
            strength = 2.0
    return strength


def _figure(text: str, match: re.Match[str]) -> float:
    """How much a figure says: 3 an amount or date, 2 with a unit, 1 alone, 0 part of a name."""
    figure, end = match[0], match.end()
    before = _WORD_BEFORE.search(text, max(0, match.start() - 20), match.start())
    word_before = before[1].casefold() if before else ""
    day = _DAY.match(figure) is not None
    behind = _UNIT.match(text, end + 1 if text[end : end + 1] == "." and day else end)
    unit = behind[1].casefold() if behind else ""
    if (
        not v.CURRENCY_SIGNS.isdisjoint(figure)
        or unit in v.CURRENCY_SIGNS
        or unit in v.CURRENCIES
        or word_before in v.CURRENCIES
        or word_before in v.CURRENCY_SIGNS
    ):
        return 3.0
    if _DATE.search(figure) or unit in v.MONTHS or word_before in v.MONTHS:
        return 3.0
    if unit in v.UNITS:
        return 2.0
    attached = text[end : end + 1]
    if attached.isalpha() or attached in {"_", "/"}:
        return 0.0
    # "PostgreSQL 16", "Step 3": rather part of a name.
    return _WEAK if before is not None and before[1][:1].isupper() else 1.0


def is_gist(text: str) -> bool:
    """Whether the sentence says what something is or is for: "X is a ...", "The aim is ..."."""
    words = words_of(text[:120])[:14]
    if not v.PURPOSE_WORDS.isdisjoint(words):
        return True
    return any(
        verb in v.COPULAS and article in v.ARTICLES
        for verb, article in itertools.pairwise(words[:7])
    )


def first_number(text: str) -> float | None:
    """The first figure of a text, None if there is none: "1.5 GB" gives 1.5."""
    match = _FIGURE.search(text)
    if match is None:
        return None
    figure = re.sub(r"[^\d.,\-]", "", match[0].replace("\u2212", "-"))
    try:
        return float(figure.replace(",", "."))
    except ValueError:
        return None
