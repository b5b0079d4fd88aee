"""Truncates the texts of checks and masks the secrets in them, before they are stored or shown.

It masks registered secret values, the user part of URLs, and the values of ``password=`` and similar
keys in connection strings. Only the first is reliable; the other two find unregistered secrets.
"""

import re
from collections.abc import Mapping
from itertools import count, takewhile
from math import isfinite
from urllib.parse import quote, quote_plus, unquote, urlsplit

from combine_health.engine.check import HealthResult, Json

MASK = "***"
MASKED_CAUSE = "masked"
TEXT_LIMIT = 500  # characters of a detail
PROSE_LIMIT = 4000
DATA_TEXT_LIMIT = 200  # characters of one text in data
ITEMS_LIMIT = 200  # entries of data, over all depths
DEPTH_LIMIT = 4
SHORTEST_SECRET = 4  # a shorter secret would mask parts of many words
_SCAN_LIMIT = 8 * 1024  # characters; the rest is dropped

_PAIR = re.compile(
    r"""(?ix)
    \b (?P<key> [\w-]{0,40}
        (?: password | passwd | pwd | secret | token | api[_-]?key | credential )
        [\w-]{0,40} ["']? \s{0,3} [=:] \s{0,3} )
    (?P<value> "[^"]*" | '[^']*' | [^\s,;&"']+ )"""
)
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)\s{1,3}[\w.~+/=-]{4,}")
_WORD = re.compile(r"\S+")


class Redactor:
    """A mask for the secrets in the texts and data of checks: registered values and likely secrets."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._values: re.Pattern[str] | None = None
        self._longest = 0

    def add(self, secret: str) -> bool:
        """Register a secret value with its URL-quoted and ``repr`` forms.

        If it is a URL, its password is registered too. Returns ``False`` if the value is too short to
        be masked (fewer than 4 characters).
        """
        known = False
        for value in (secret, _password_of(secret)):
            if value is None or len(value) < SHORTEST_SECRET:
                continue
            known = True
            self._forms |= {value, quote(value, safe=""), quote_plus(value), repr(value)[1:-1]}
        if known:
            longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
            self._values = re.compile("|".join(map(re.escape, longest_first)))
            self._longest = len(longest_first[0])
        return known

    def text(self, value: str, limit: int = TEXT_LIMIT) -> str:
        """Return ``value`` in one line, masked, with at most ``limit`` characters."""
        cut = len(value) > _SCAN_LIMIT
        text = value[:_SCAN_LIMIT]
        if self._values is not None:
            text = self._values.sub(MASK, text)
            if cut:  # a secret that is cut at the end would not match
                text = text[: -self._longest]
        text = _WORD.sub(_mask_user_part, text)
        text = _PAIR.sub(rf"\g<key>{MASK}", text)
        text = _AUTHORIZATION.sub(rf"\1 {MASK}", text)
        text = " ".join(text.split())
        text = "".join(char if char.isprintable() else "?" for char in text[: limit + 1])
        return text if len(text) <= limit else text[: limit - 1] + "…"

    def prose(self, value: str | None) -> str | None:
        """Return a developer's longer text, such as a remedy, unchanged unless it contains a secret."""
        if value is None:
            return None
        clean = self.text(value, PROSE_LIMIT)
        return value if clean == " ".join(value.split()) else clean

    def result(self, result: HealthResult) -> HealthResult:
        detail = None if result.detail is None else self.text(str(result.detail))
        cause = result.cause
        if cause is not None and self.text(cause) != cause:
            cause = MASKED_CAUSE
        return HealthResult(result.status, cause, detail, self.data(result.data))

    def data(self, value: Mapping[str, object]) -> dict[str, Json]:
        """Return ``value`` as JSON, masked and truncated. Values of other types become their type's name."""
        walked = self._walk(value, 0, count())
        return walked if isinstance(walked, dict) else {}

    def _walk(self, value: object, depth: int, seen: "count[int]") -> Json:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if abs(value) < 2**63 else f"<{type(value).__name__}>"
        if isinstance(value, float):
            return float(value) if isfinite(value) else str(float(value))
        if isinstance(value, str):
            return self.text(str(value), DATA_TEXT_LIMIT)
        deeper = depth < DEPTH_LIMIT
        if deeper and isinstance(value, Mapping):
            pairs = takewhile(lambda _: next(seen) < ITEMS_LIMIT, value.items())
            return {self.text(str(key), 64): self._entry(key, x, depth, seen) for key, x in pairs}
        if deeper and isinstance(value, list | tuple):
            items = takewhile(lambda _: next(seen) < ITEMS_LIMIT, value)
            return [self._walk(item, depth + 1, seen) for item in items]
        return f"<{type(value).__name__}>"

    def _entry(self, key: object, item: object, depth: int, seen: "count[int]") -> Json:
        if isinstance(item, str) and _PAIR.search(f"{key}=x"):
            return MASK
        return self._walk(item, depth + 1, seen)


def _mask_user_part(match: re.Match[str]) -> str:
    word = match.group()
    start = word.find("://")
    end = word.rfind("@")
    # Remedies contain the placeholder.
    if start < 0 or end < start or word[start + 3 : end] == "USER:PASSWORD":
        return word
    return f"{word[: start + 3]}{MASK}{word[end:]}"


def _password_of(secret: str) -> str | None:
    try:
        password = urlsplit(secret).password
    except ValueError:  # not a URL
        return None
    return unquote(password) if password else None
