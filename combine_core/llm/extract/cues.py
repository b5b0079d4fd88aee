"""Tells an open question, a decision, an action and a number, in English and German.

The rules use the sentence alone, never its place in the text.
"""

import itertools
import re
from collections.abc import Sequence
from enum import StrEnum

from combine_core.llm.extract.vocabulary import CURRENCY_SIGNS, LABELS, PHRASES, WORDS


class Cue(StrEnum):
    """The kinds of sentence beside a plain statement."""

    QUESTION = "question"
    DECISION = "decision"
    ACTION = "action"
    NUMBER = "number"


_WORD = re.compile(r"\w+(?:[-'\u2019]\w+)*")
_LABEL = re.compile(r"\W*(\w[\w -]{0,30}?)\W*:(?=\W*\s|$)")
_QUESTION_MARK = re.compile(r"\?[\"'”\u2019»)\]*_`\s]*$")
_CODE = re.compile(r"`[^`]*`|https?://\S+")
# A figure that is not part of a word, a version, a path or a name such as S1.
_FIGURE = re.compile(
    r"(?<![\w.,/#_])(?<!\w[-+])[-+\u2212~≈<>≤≥]?[€$£¥]?\d++(?:[.,:/'\u2019\-]\d++)*+"
)
_UNIT = re.compile(r"\s?([^\W\d_]+(?:/h|²)?|[€$£¥%‰]|°C)")
_WORD_BEFORE = re.compile(r"([^\W\d_]+|[€$£¥])\.? ?$")
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./](?:\d{4}|\d\d)|\d\d?:\d\d")
_DAY = re.compile(r"(\d\d?)(?:st|nd|rd|th|\.)?$")
_DIGIT = re.compile(r"\d")
_QUARTER = re.compile(r"\b(?:Q[1-4]|KW ?\d\d?)\b")


# A weaker cue may put a sentence into a list, but does not decide what the sentence is.
SURE = 1.0
_WEAK = 0.75


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.casefold())


def cues_of(text: str) -> dict[Cue, float]:
    """The kinds of the sentence, each with a strength of up to 3."""
    words = words_of(text)
    is_open = (
        ("?" in text and ("??" in text or _QUESTION_MARK.search(text) is not None))
        or _is_labelled(text, "open")
        or _says(words, "open")
    )
    strengths = {
        Cue.QUESTION: 3.0 if is_open else 0.0,
        Cue.DECISION: _decision(text, words),
        Cue.ACTION: 0.0 if is_open else _action(text, words),
        Cue.NUMBER: _number(text, words),
    }
    return {cue: strength for cue, strength in strengths.items() if strength}


def _is_labelled(text: str, kind: str) -> bool:
    """Whether a label of this kind is at the start: "Decision: ..."."""
    match = _LABEL.match(text) if ":" in text[:40] else None
    return match is not None and not LABELS[kind].isdisjoint(match[1].casefold().split())


def _says(words: Sequence[str], kind: str) -> bool:
    """Whether the sentence contains a word or a phrase of this kind."""
    return not WORDS[kind].isdisjoint(words) or _has_phrase(words, kind)


def _has_phrase(words: Sequence[str], kind: str) -> bool:
    return PHRASES[kind].search(f" {' '.join(words)} ") is not None


def _decision(text: str, words: Sequence[str]) -> float:
    if _is_labelled(text, "decision"):
        return 3.0
    decided = _says(words, "decided")
    if not decided and WORDS["decision"].isdisjoint(words):
        return 0.0
    if (
        text.rstrip().endswith("?")
        or _has_phrase(words, "not_decided")
        or _has_phrase(words, "open")
    ):
        return 0.0
    return 2.0 if decided else _WEAK


def _action(text: str, words: Sequence[str]) -> float:
    if _says(words, "todo") or _is_labelled(text, "action"):
        return 3.0
    due = 0.0 if WORDS["due"].isdisjoint(words) else 0.5
    if _is_imperative(text, words) or not WORDS["polite"].isdisjoint(words):
        return 2.0 + due
    if not _says(words, "duty"):
        return 0.0
    return 1.5 + due if _has_owner(text) else _WEAK


def _is_imperative(text: str, words: Sequence[str]) -> bool:
    first = 0
    while first < len(words) - 1 and words[first] in WORDS["opener"]:
        first += 1
    if len(words) - first < 2:
        return False
    if text.lstrip("*_").startswith("`") or " | " in text:
        return False  # code, or a row of a table
    if words[first] in WORDS["imperative"]:
        behind = text.casefold().partition(words[first])[2].lstrip("*_`")
        return behind.startswith(" ") and (
            words[first + 1] not in WORDS["not_after_imperative"]
            and behind.lstrip()[:1] not in "|:=("
        )
    # A note has no full stop, and its verb is the last word.
    return (
        words[-1].endswith(tuple(WORDS["infinitive"]))
        and len(words) <= 12
        and text[-1:].isalpha()
        and text[:1].isupper()
        and WORDS["duty"].isdisjoint(words)
    )


def _has_owner(text: str) -> bool:
    """Whether a person is named before the word of duty: "we must", "Mrs Olsen will"."""
    words = _WORD.findall(text)
    for number, word in enumerate(words[1:], 1):
        if word.casefold() not in WORDS["duty"]:
            continue
        if words[number - 1].casefold() in WORDS["owner"]:
            return True
        # A capital letter is a name, but after an article or an adjective it is a German noun.
        before = words[number - 2] if number > 1 else ""
        if words[number - 1][:1].isupper() and before.casefold() not in WORDS["article"]:
            return number == 1 or before[:1].isupper()
    return False


def _number(text: str, words: Sequence[str]) -> float:
    strength = 0.0
    if _DIGIT.search(text):
        plain = _CODE.sub(" ", text) if "`" in text or "://" in text else text
        strength = max((_figure(plain, match) for match in _FIGURE.finditer(plain)), default=0.0)
        if strength < 3.0 and _QUARTER.search(plain):
            strength = 3.0
    if strength < 2.0 and not WORDS["number"].isdisjoint(words):
        pairs = itertools.pairwise(words)
        if any(
            a in WORDS["number"] and (b in WORDS["unit"] or b in WORDS["currency"])
            for a, b in pairs
        ):
            strength = 2.0
    return strength


def _figure(text: str, match: re.Match[str]) -> float:
    """3 for an amount or a date, 2 for a figure with a unit, 1 without, 0 for part of a name."""
    figure, end = match[0], match.end()
    before = _WORD_BEFORE.search(text, max(0, match.start() - 20), match.start())
    word_before = before[1].casefold() if before else ""
    day = _DAY.match(figure) is not None
    behind = _UNIT.match(text, end + 1 if text[end : end + 1] == "." and day else end)
    unit = behind[1].casefold() if behind else ""
    if (
        not CURRENCY_SIGNS.isdisjoint(figure)
        or unit in CURRENCY_SIGNS
        or unit in WORDS["currency"]
        or word_before in WORDS["currency"]
        or word_before in CURRENCY_SIGNS
    ):
        return 3.0
    if _DATE.search(figure) or unit in WORDS["month"] or word_before in WORDS["month"]:
        return 3.0
    if unit in WORDS["unit"]:
        return 2.0
    attached = text[end : end + 1]
    if attached.isalpha() or attached in {"_", "/"}:
        return 0.0
    # "PostgreSQL 16", "Step 3": probably part of a name.
    return _WEAK if before is not None and before[1][:1].isupper() else 1.0


def is_gist(text: str) -> bool:
    """Whether the sentence defines something or says its purpose: "X is a", "The aim is"."""
    words = words_of(text[:120])[:14]
    if not WORDS["purpose"].isdisjoint(words):
        return True
    return any(
        verb in WORDS["copula"] and article in WORDS["article"]
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
