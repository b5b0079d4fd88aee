"""Masks secrets in log lines and in the audit: configured values, credentials in URLs, bearer tokens.

combine_health works without this package and masks the results of health checks itself.
"""

import json
import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any
from urllib.parse import quote

MASK = "***"
# Shorter secrets are not masked, because they would mask half of every line.
_SHORTEST = 4
# Shorter secrets are masked only as whole words: "combine_core" contains the password "combine".
_DISTINCT = 12

# Each pattern consumes whole words. A pattern that backtracks at every character of a long line would delay
# the request that logs it.
_URL = re.compile(r"""(?i)\b([a-z][a-z0-9+.-]{0,30}://)([^\s"'<>]+)""")
_PATTERNS = (
    (
        re.compile(r"(?i)\b((?:password|passwd|pwd)\s?=\s?)('[^']*'|\"[^\"]*\"|[^\s,;&]+)"),
        rf"\1{MASK}",
    ),
    (
        re.compile(
            r"(?i)([?&][\w.-]{0,40}(?:secret|token|password|api_?key|signature)=)[^\s&#\"'<>]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)(\s{1,3})[\w.~+/=-]{8,}"), rf"\1\2{MASK}"),
    (re.compile(r"\b(cmb_[a-z]{1,10}_)\w+"), rf"\1{MASK}"),
)


class LogRedactor:
    """A redactor of the secrets that were added to it, and of texts that look like secrets."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: frozenset[str] = frozenset()
        self._values: re.Pattern[str] | None = None
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Mask these values from now on, also in their quoted and escaped forms."""
        known = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        self._forms |= known
        if self._forms:
            longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
            self._values = re.compile("|".join(map(_pattern, longest_first)))

    def text(self, text: str) -> str:
        if self._values is not None:
            text = self._values.sub(MASK, text)
        text = _URL.sub(_without_user, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def value(self, value: Any) -> Any:
        """Mask the secrets in a value for JSON. Other types are converted to text."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if isfinite(value) else str(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(entry) for entry in value]
        return self.text(str(value))


def _without_user(match: re.Match[str]) -> str:
    # Up to the last @, because a password may contain an @ or a / that is not escaped.
    user, at, server = match[2].rpartition("@")
    # Remedies contain the placeholder.
    secret = at and user and user != "USER:PASSWORD"
    return f"{match[1]}{MASK}@{server}" if secret else match[0]


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), repr(secret)[1:-1], json.dumps(secret)[1:-1]}


def _pattern(form: str) -> str:
    escaped = re.escape(form)
    return escaped if len(form) >= _DISTINCT else rf"(?<!\w){escaped}(?!\w)"


# One redactor per process, like log handlers, so that no application shows the secrets of another.
REDACTOR = LogRedactor()
