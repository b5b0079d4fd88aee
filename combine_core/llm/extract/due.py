"""Find the day until which something is to be done."""

import re

from combine_core.language import lowered
from combine_core.llm.extract.vocabulary import Vocabulary

_DATE = re.compile(
    r"\d{4}-\d\d-\d\d|\d{1,2}\.(?:\d{1,2}\.(?:\d{4}|\d\d)?)|\d{1,2}/\d{1,2}(?:/\d{2,4})?"
    r"|(?:the )?\d{1,2}(?:st|nd|rd|th|\.)? (?:of )?[^\W\d_]{3,9}\.?(?:,? \d{4})?"
    r"|[^\W\d_]{3,9}\.? \d{1,2}(?:st|nd|rd|th)?(?:,? \d{4})?",
    re.IGNORECASE,
)
_MONTH = re.compile(
    r"\b(?:jan|feb|m[äa]r|apr|ma[iy]|jun|jul|aug|sep|o[kc]t|nov|de[zc])[a-zä]*", re.IGNORECASE
)


def due_date(said: str, low: str, words: Vocabulary) -> str:
    """The day until which it is to be done, as it is written; empty if none is named."""
    for match in words.due.finditer(low):
        behind = said[match.end() :].lstrip(" :")
        until = words.day.match(lowered(behind)) or _date_at(behind)
        if until is not None:
            return behind[: until.end()].rstrip(" .,;")
    for day in words.day.finditer(low):
        if len(said) - day.end() < 2:
            return said[slice(*day.span())]
    tail = re.search(r"[,;(–-] ?([^,;()–]{3,30})\)?\.?$", said)
    if tail is not None:
        date = _date_at(tail[1])
        if date is not None and date.end() >= len(tail[1].strip()):
            return tail[1].strip()
    return ""


def _date_at(text: str) -> re.Match[str] | None:
    match = _DATE.match(text)
    if match is None or (re.search(r"[^\W\d_]{3}", match[0]) and not _MONTH.search(match[0])):
        return None
    return match
