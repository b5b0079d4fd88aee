"""The form of a personal access token: ``cmb_pat_``, 30 random characters, 6 of checksum.

The prefix lets scanners of leaked secrets know what they have found; the checksum lets them, and
us, tell a token from what merely looks like one without asking the database.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib

PREFIX = "cmb_pat_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM = 30
_CHECKSUM = 6
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECKSUM}}}")


def _checksum(text: str) -> str:
    rest = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECKSUM):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def new_token() -> str:
    """A token that nobody has yet: 178 random bits."""
    text = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return text + _checksum(text)


def is_token(text: str) -> bool:
    """Whether this can be a token: its form and its checksum are right."""
    return bool(_FORM.fullmatch(text)) and _checksum(text[:-_CHECKSUM]) == text[-_CHECKSUM:]
