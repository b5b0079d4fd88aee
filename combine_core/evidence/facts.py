"""Parses the words, names, numbers with units, dates and times of a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from combine_core.language import Language, lowered


@dataclass(frozen=True, slots=True)
class Number:
    """A quantity. ``unit`` is a canonical unit, the stem of the following noun, or empty."""

    value: Decimal
    unit: str
    known_unit: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Date:
    """A date. The day or the year is ``None`` if it is not given."""

    day: int | None
    month: int
    year: int | None

    def covers(self, claimed: Date) -> bool:
        """Check whether this date agrees with all parts of ``claimed``."""
        return (
            self.month == claimed.month
            and claimed.day in (None, self.day)
            and claimed.year in (None, self.year)
        )


@dataclass(frozen=True, slots=True)
class Word:
    """A word that is no number.

    :ivar content: whether it is no function word
    :ivar name: whether it is written as a name
    """

    text: str
    stem: str
    content: bool
    name: bool
    start: int


@dataclass(frozen=True, slots=True)
class Facts:
    """The words and figures of a text."""

    text: str
    words: tuple[Word, ...]
    numbers: tuple[Number, ...]
    dates: tuple[Date, ...]
    times: tuple[int, ...]  # minutes since midnight

    def says(self, pattern: re.Pattern[str]) -> bool:
        return pattern.search(self.text) is not None

    @property
    def has_words(self) -> bool:
        """Return whether there is a content word."""
        return any(word.content for word in self.words)

    @property
    def has_figures(self) -> bool:
        return bool(self.numbers or self.dates or self.times)

    @property
    def stems(self) -> frozenset[str]:
        return frozenset(word.stem for word in self.words)


_DIGITS = r"\d{1,3}(?:[,.'’   ]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?"
_UNIT = r"°\s?[CF]?|%|€|£|\$|[^\W\d_]+"
# The number in "broker-3" is a part of the name, and the number in "mid-2025" is a year.
_NUMBER = re.compile(
    rf"(?<![\w.,])(?:(?<![^\W\d_][-‐‑])|(?=\d{{4}}(?!\d)))"
    rf"(?P<sign>[-+−–](?=[$€£¥\d]))?(?P<before>(?:US)?\$|€|£|¥|USD |EUR |GBP |CHF )?\s?"
    rf"(?P<digits>{_DIGITS})(?P<ordinal>st|nd|rd|th)?"
    rf"(?!\d|[.,]\d)(?:[ \u00a0\u202f-]?(?P<unit>{_UNIT}))?",
)
_UNIT_BEHIND = re.compile(rf"\s+({_UNIT})")
_TIME = re.compile(
    r"(?<![\w:.,])(?P<hour>[01]?\d|2[0-4])(?:[:](?P<minute>[0-5]\d)(?::[0-5]\d)?(?:\s?(?P<half>[ap])\.?m\b\.?|\s?Uhr\b)?"
    r"|\s?(?P<half2>[ap])\.?m\b\.?|(?:\.(?P<minute2>[0-5]\d))?\s?Uhr\b)",
    re.IGNORECASE,
)
_ISO_DATE = re.compile(r"(?<!\d)(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?!\d)")
_POINT_DATE = re.compile(
    r"(?<![\d.])(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4}|\d{2})?(?!\d)"
)
_SLASH_DATE = re.compile(r"(?<![\d/])(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<year>\d{4})(?![\d/])")
# Most sentences have no date. The first pattern of each pair rules one out much faster.
_DATES = (
    (re.compile(r"-(?<=\d-)\d"), _ISO_DATE),
    (re.compile(r"\.(?<=\d\.)\d"), _POINT_DATE),
    (re.compile(r"/(?<=\d/)\d"), _SLASH_DATE),
)
_HALF_OR_HOUR = re.compile(r"[aApPuU](?:\.?[mM]|[hH][rR])")
# Identifiers are words with digits: "Q3", "v1.2", "IPv6". Others are "non-compliant" and "Anna's".
_WORD = re.compile(
    r"(?:\d+(?:\.\d+){2,}|[^\W\d_][\w]*|\d+[^\W\d_]\w*)(?:[.&](?=\w)\w+|['’]\w+)*(?:[-‐‑][^\W_]\w*)*",
    re.UNICODE,
)
_POSSESSIVE = re.compile(r"['’]s?$")


def facts_of(text: str, language: Language) -> Facts:
    """Parse ``text`` in ``language``. Quotation marks and marks of emphasis are ignored."""
    dates, without_dates = _take_dates(text, language)
    times, rest = _take_times(without_dates, language)
    numbers = tuple(_numbers(rest, language))
    spans = [(number.start, number.end) for number in numbers]
    words = tuple(_words(rest, language, spans))
    return Facts(text, words, numbers, tuple(dates), tuple(times))


def numbers_of(text: str, language: Language) -> Iterator[Number]:
    """Yield only the quantities of ``text``, which is much faster than :func:`facts_of`."""
    _, without_dates = _take_dates(text, language)
    _, rest = _take_times(without_dates, language)
    yield from _numbers(rest, language)


def _blank(text: str, match: re.Match[str]) -> str:
    return text[: match.start()] + " " * len(match[0]) + text[match.end() :]


def _take_dates(text: str, language: Language) -> tuple[list[Date], str]:
    dates: list[Date] = []
    for hint, pattern in _DATES:
        for match in list(pattern.finditer(text)) if hint.search(text) else ():
            # "4.2." may be a version at the end of an English sentence.
            is_date = pattern is not _POINT_DATE or match["year"] or language.code != "en"
            date = _date_of_digits(match, pattern) if is_date else None
            if date is not None:
                dates.append(date)
                text = _blank(text, match)
    low = lowered(text)
    for match in list(language.month_date.finditer(low)) if language.month.search(low) else ():
        day = match["day"] or match["day2"]
        month = language.months[match["month"] or match["month2"]]
        year = match["year"] or match["year2"]
        if day is None and year is None:
            continue
        dates.append(Date(int(day) if day else None, month, int(year) if year else None))
        # The name of the month stays, because it is a word as well.
        written = text[slice(*match.span())]
        blanked = re.sub(r"\d\w*", lambda part: " " * len(part[0]), written)
        text = text[: match.start()] + blanked + text[match.end() :]
    return dates, text


def _date_of_digits(match: re.Match[str], pattern: re.Pattern[str]) -> Date | None:
    year = int(match["year"]) if match["year"] else None
    if year is not None and year < 100:
        year += 2000
    if pattern is _SLASH_DATE:
        first, second = int(match["a"]), int(match["b"])
        # 3/5/2026 is ambiguous. A number above 12 must be the day.
        month, day = (second, first) if first > 12 else (first, second)
    else:
        month, day = int(match["month"]), int(match["day"])
    return Date(day, month, year) if 1 <= month <= 12 and 1 <= day <= 31 else None


def _take_times(text: str, language: Language) -> tuple[list[int], str]:
    low = text.lower()
    times = [time for word, time in language.times.items() if re.search(rf"\b{word}\b", low)]
    may_hold_one = ":" in text or _HALF_OR_HOUR.search(text)
    for match in list(_TIME.finditer(text)) if may_hold_one else ():
        hour = int(match["hour"])
        half = (match["half"] or match["half2"] or "").lower()
        if half == "p" and hour < 12:
            hour += 12
        elif half == "a" and hour == 12:
            hour = 0
        times.append(hour % 24 * 60 + int(match["minute"] or match["minute2"] or 0))
        text = _blank(text, match)
    return times, text


def _numbers(text: str, language: Language) -> Iterator[Number]:
    for match in _NUMBER.finditer(text):
        value = _value(match["digits"], language)
        if match["sign"] in ("-", "−", "–"):
            value = -value
        unit = match["unit"] or ""
        magnitude = language.magnitudes.get(unit.lower()) if unit else None
        if magnitude is not None and not (unit == "m" and match["before"] is None):
            value *= magnitude
            following = _UNIT_BEHIND.match(text, match.end())
            unit = following[1] if following else ""
        before = (match["before"] or "").strip().lower()
        known = language.unit(before) or language.unit(unit.lower().replace(" ", ""))
        noun = "" if unit.lower() in language.stop_words else language.stem(unit.lower())
        yield Number(value, known or noun, known is not None, match.start(), match.end("digits"))
    yield from _spelled_numbers(text, language)


def _spelled_numbers(text: str, language: Language) -> Iterator[Number]:
    for match in language.number_word.finditer(lowered(text)):
        value = Decimal(language.numbers[match[1]])
        unit = match[2] or ""
        magnitude = language.magnitudes.get(unit.lower()) if len(unit) > 1 else None
        if magnitude is not None:
            value *= magnitude
            unit = ""
        known = language.unit(unit.lower()) if len(unit) > 1 else None
        noun = "" if unit.lower() in language.stop_words else language.stem(unit.lower())
        yield Number(value, known or noun, known is not None, match.start(1), match.end(1))


def _value(digits: str, language: Language) -> Decimal:
    if digits.isdecimal():
        return Decimal(digits)
    plain = re.sub(r"['’   ]", "", digits)
    separators = re.findall(r"[.,]", plain)
    if not separators:
        return Decimal(plain)
    last = separators[-1]
    behind = plain.rpartition(last)[2]
    grouping = "." if language.code == "de" else ","
    if len(set(separators)) == 2 or (
        len(separators) == 1 and not _is_group(plain, last, behind, grouping)
    ):
        whole = plain.rpartition(last)[0]
        return Decimal(re.sub(r"[.,]", "", whole) + "." + behind)
    return Decimal(re.sub(r"[.,]", "", plain))


def _is_group(plain: str, separator: str, behind: str, grouping: str) -> bool:
    """Check whether one separator groups thousands, as in German "2.500" and English "2,500"."""
    if len(behind) != 3 or plain.startswith("0"):
        return False
    return separator == grouping or separator == ","


def _words(text: str, language: Language, numbers: list[tuple[int, int]]) -> Iterator[Word]:
    first = True
    for match in _WORD.finditer(text):
        if any(start <= match.start() < end for start, end in numbers):
            continue
        written = _POSSESSIVE.sub("", match[0].replace("’", "'"))
        lower = written.lower()
        if lower in language.numbers:
            continue
        counts = lower in language.magnitudes or language.unit(lower) is not None
        content = (
            not counts
            and lower not in language.stop_words
            and (len(lower) > 1 or written.isupper())
        )
        begins = first or text[: match.start()].rstrip()[-1:] in (".", ":", "!", "?")
        name = content and _is_name(written, begins)
        yield Word(written, language.stem(lower), content, name, match.start())
        first = False


def _is_name(written: str, begins_sentence: bool) -> bool:
    if len(written) > 1 and written.isupper():
        return True
    if not written[0].isupper():
        # "iOS" and "v2" are names although they begin in lower case.
        return written != written.lower() or any(map(str.isdigit, written))
    return not begins_sentence
