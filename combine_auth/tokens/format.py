"""The format of tokens and secrets: a prefix, random characters, and a checksum of 6 characters.

By the prefix, scanners for leaked secrets recognise the kind of token. The checksum distinguishes tokens
from text that only looks like one, without a database query.
"""

from __future__ import annotations

import re
import secrets
import string
import zlib
from dataclasses import dataclass

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CHECKSUM = 6


@dataclass(frozen=True)
class TokenFormat:
    """The format of one kind of token.

    :ivar prefix: the first characters
    :ivar random: the number of random characters, with almost 6 bits each
    """

    prefix: str
    random: int

    def new(self) -> str:
        text = self.prefix + "".join(secrets.choice(_ALPHABET) for _ in range(self.random))
        return text + _checksum(text)

    def is_valid(self, text: str) -> bool:
        """Check the format and the checksum of a token."""
        length = len(self.prefix) + self.random + _CHECKSUM
        return (
            len(text) == length
            and text.startswith(self.prefix)
            and re.fullmatch("[0-9A-Za-z]+", text[len(self.prefix) :]) is not None
            and _checksum(text[:-_CHECKSUM]) == text[-_CHECKSUM:]
        )


def _checksum(text: str) -> str:
    rest = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECKSUM):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


# Personal access tokens have 178 random bits.
PERSONAL = TokenFormat("cmb_pat_", 30)
# The tokens and secrets of clients have 256 random bits.
ACCESS = TokenFormat("cmb_at_", 43)
REFRESH = TokenFormat("cmb_rt_", 43)
CODE = TokenFormat("cmb_ac_", 43)
DEVICE_CODE = TokenFormat("cmb_dc_", 43)
CLIENT_SECRET = TokenFormat("cmb_cs_", 43)

PREFIX = PERSONAL.prefix
