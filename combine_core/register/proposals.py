"""Compares items and statements by rules: possible duplicates, contradictions and due days.

The rules only make proposals, at no cost. A person decides on each proposal.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from combine_core.evidence.facts import Date, facts_of
from combine_core.language import Language, language_of

# Possible duplicates share more than this part of the content words of the longer text. The second value
# applies if figures or owners differ.
_MIN_SHARE = 0.5
_MIN_SHARE_IF_DIFFERENT = 0.75


class ItemContent(Protocol):
    """The content of an item or of a statement about it."""

    text: str
    owner: str | None
    due: str | None
    due_on: datetime.date | None


@dataclass(frozen=True)
class Gist:
    """The parts of a text that are compared: its content words, its normalized figures and its owner."""

    words: frozenset[str]
    figures: frozenset[str]
    owner: str | None


def gist_of(content: ItemContent, language: Language) -> Gist:
    facts = facts_of(content.text, language)
    owner = content.owner.casefold() if content.owner else None
    names = {word.stem for word in facts_of(content.owner or "", language).words}
    words = frozenset(
        word.stem
        for word in facts.words
        if word.content and word.stem not in names and word.text.lower() not in language.months
    )
    figures = [*facts.dates, *((number.value, number.unit) for number in facts.numbers)]
    return Gist(words, frozenset(map(str, figures)), owner)


def may_be_same(gist: Gist, other: Gist) -> bool:
    """Check whether both share most of their content words."""
    shared = len(gist.words & other.words)
    if not shared:
        return False
    share = shared / max(len(gist.words), len(other.words))
    same_owner = gist.owner is None or other.owner is None or gist.owner == other.owner
    if same_owner and not _differ(gist.figures, other.figures):
        return share > _MIN_SHARE
    return share > _MIN_SHARE_IF_DIFFERENT


def _differ(figures: frozenset[str], others: frozenset[str]) -> bool:
    return bool(figures and others and figures != others)


def contradictions(content: ItemContent, known: ItemContent) -> list[str]:
    """Return the fields in which ``content`` contradicts ``known``. A missing value contradicts nothing."""
    found = []
    language = language_of(content.text, known.text)
    if _differ(gist_of(content, language).figures, gist_of(known, language).figures):
        found.append("text")
    if content.owner and known.owner and content.owner.casefold() != known.owner.casefold():
        found.append("owner")
    if content.due_on and known.due_on:
        other_due = content.due_on != known.due_on
    else:
        other_due = bool(
            content.due and known.due and content.due.casefold() != known.due.casefold()
        )
    return [*found, "due"] if other_due else found


def find_day(
    texts: Iterable[str | None], language: Language, today: datetime.date
) -> datetime.date | None:
    """Return the first day that one of the texts names. Without a year, use the next such day.

    :param texts: the texts in the order in which they are searched
    """
    for text in filter(None, texts):
        for date in facts_of(text, language).dates:
            if (day := _day(date, today)) is not None:
                return day
    return None


def _day(date: Date, today: datetime.date) -> datetime.date | None:
    if date.day is None:
        return None
    # Eight years always include a 29 February.
    years = [date.year] if date.year is not None else range(today.year, today.year + 9)
    for year in years:
        try:
            day = datetime.date(year, date.month, date.day)
        except ValueError:
            continue
        if date.year is not None or day >= today:
            return day
    return None
