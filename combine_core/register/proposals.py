"""Compares what is said: whether two items may be the same, where they contradict, which day is meant.

All by rules, so that a proposal costs nothing. A person decides on it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from combine_core.evidence.facts import Date, facts_of
from combine_core.language import Language, language_of

# Of the content words of the longer text, both have more than this share. More is asked for where figures
# or owners differ.
_SHARED = 0.5
_SHARED_OTHERWISE = 0.75


class Said(Protocol):
    """What an item says, or a statement about it."""

    text: str
    owner: str | None
    due: str | None
    due_on: datetime.date | None


@dataclass(frozen=True)
class Gist:
    """What of a text is compared: its content words, and its figures as they are written down alike."""

    words: frozenset[str]
    figures: frozenset[str]
    owner: str | None


def gist_of(said: Said, language: Language) -> Gist:
    facts = facts_of(said.text, language)
    owner = said.owner.casefold() if said.owner else None
    names = {word.stem for word in facts_of(said.owner or "", language).words}
    words = frozenset(
        word.stem
        for word in facts.words
        if word.content and word.stem not in names and word.text.lower() not in language.months
    )
    figures = [*facts.dates, *((number.value, number.unit) for number in facts.numbers)]
    return Gist(words, frozenset(map(str, figures)), owner)


def may_be_same(one: Gist, other: Gist) -> bool:
    """Whether both share most of their content words."""
    shared = len(one.words & other.words)
    if not shared:
        return False
    share = shared / max(len(one.words), len(other.words))
    same_owner = one.owner is None or other.owner is None or one.owner == other.owner
    if same_owner and not _differ(one.figures, other.figures):
        return share > _SHARED
    return share > _SHARED_OTHERWISE


def _differ(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one and other and one != other)


def contradictions(said: Said, known: Said) -> list[str]:
    """The fields in which ``said`` contradicts what is ``known``. What is not said contradicts nothing."""
    found = []
    language = language_of(said.text, known.text)
    if _differ(gist_of(said, language).figures, gist_of(known, language).figures):
        found.append("text")
    if said.owner and known.owner and said.owner.casefold() != known.owner.casefold():
        found.append("owner")
    if said.due_on and known.due_on:
        other_due = said.due_on != known.due_on
    else:
        other_due = bool(said.due and known.due and said.due.casefold() != known.due.casefold())
    return [*found, "due"] if other_due else found


def day_meant(
    texts: Iterable[str | None], language: Language, today: datetime.date
) -> datetime.date | None:
    """The first day that one of the texts names. Without a year, it is the next such day.

    :param texts: the later ones count if the earlier ones name no day
    """
    for text in filter(None, texts):
        for date in facts_of(text, language).dates:
            if (day := _day(date, today)) is not None:
                return day
    return None


def _day(date: Date, today: datetime.date) -> datetime.date | None:
    if date.day is None:
        return None
    # In eight years there is a 29 February.
    years = [date.year] if date.year is not None else range(today.year, today.year + 9)
    for year in years:
        try:
            day = datetime.date(year, date.month, date.day)
        except ValueError:
            continue
        if date.year is not None or day >= today:
            return day
    return None
