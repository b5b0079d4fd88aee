"""Validates text: PostgreSQL has to be able to store it, and a person to read it."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

# C0 and C1 control characters other than tab and newline.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# White space, the blank Braille pattern, and the Unicode property Default_Ignorable_Code_Point.
_INVISIBLE = re.compile(
    r"[\s\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff]*"
)

# Embeddings, overrides and isolates of the Unicode bidirectional algorithm. An unclosed one would also turn
# the text after a name around.
_DIRECTION = re.compile(r"[\u202a-\u202e\u2066-\u2069]")

# The JSON escape of NUL, unless its backslash is escaped.
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")

MAX_NAME = 200


class InvalidText(ValueError):
    """A text that cannot be stored. The message names the reason and the remedy."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class TextTooLarge(InvalidText):
    """A text with too many bytes."""


def clean_name(value: str, field: str = "name") -> str:
    """Normalize and strip a name: one line of 1 to ``MAX_NAME`` characters without changes of direction.

    :raises InvalidText: the name is empty, too long, or contains control characters
    """
    name = unicodedata.normalize("NFC", _DIRECTION.sub("", value)).strip()
    if not name:
        raise InvalidText(field, "is empty. Give it at least one visible character.")
    if len(name) > MAX_NAME:
        raise InvalidText(field, f"has {len(name)} characters; {MAX_NAME} are allowed.")
    if "\n" in name or "\t" in name or _CONTROL.search(name):
        raise InvalidText(field, "contains a line break or another control character. Remove it.")
    _check_encodable(name, field)
    # Marks alone have no letter that they could stand on.
    if all(unicodedata.category(sign).startswith("M") for sign in _INVISIBLE.sub("", name)):
        raise InvalidText(field, "has no visible character. Add one.")
    return name


def clean_text(value: str, field: str, *, max_bytes: int) -> str:
    """Validate a text of several lines, and normalize its line ends to ``\\n``.

    :param max_bytes: the limit on the length in UTF-8
    :raises TextTooLarge: the text is longer
    :raises InvalidText: the text is empty, or contains a NUL byte or an unpaired surrogate
    """
    if "\0" in value:
        raise InvalidText(
            field, "contains a NUL byte: it is a binary file or UTF-16. Send text as UTF-8."
        )
    _check_encodable(value, field)
    text = value.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if text.isspace() or not text:
        raise InvalidText(field, "is empty. Add some text.")
    size = len(text) if text.isascii() else len(text.encode())
    if size > max_bytes:
        raise TextTooLarge(field, f"has {size} bytes; {max_bytes} are allowed. Split it.")
    return text


def _check_encodable(value: str, field: str) -> None:
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError as error:
        why = "contains half of a surrogate pair, which is not a character. Send text as UTF-8."
        raise InvalidText(field, why) from error


def is_storable(value: Any) -> bool:
    """Check whether PostgreSQL can store a JSON value: it contains no NUL and no unpaired surrogate."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return _ESCAPED_NUL.search(text) is None


def shorten(text: str, max_length: int) -> str:
    """Return ``text`` with at most ``max_length`` characters, and ``...`` at the end if it was cut."""
    return text if len(text) <= max_length else f"{text[: max_length - 3]}..."


def shorten_middle(text: str, max_length: int) -> str:
    """Return ``text`` with at most ``max_length`` characters, and ``...`` in the middle if it was cut."""
    kept = max_length - 3
    return (
        text if len(text) <= max_length else f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"
    )
