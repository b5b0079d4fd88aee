"""The format of tokens and secrets: a prefix, random characters, a checksum of 6 characters.

The prefix tells scanners of leaked secrets what they have found. The checksum tells them, and us, real
tokens from texts that only look like one, without a query to the database.
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

    :ivar prefix: what it begins with
    :ivar random: how many random characters follow, of almost 6 bits each
    """

    prefix: str
    random: int

    def new(self) -> str:
        text = self.prefix + "".join(secrets.choice(_ALPHABET) for _ in range(self.random))
        return text + _checksum(text)

    def fits(self, text: str) -> bool:
        """Whether this can be such a token: its format and its checksum are right."""
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


# Personal access tokens: 178 random bits.
PERSONAL = TokenFormat("cmb_pat_", 30)
# For clients: 256 random bits each.
ACCESS = TokenFormat("cmb_at_", 43)
REFRESH = TokenFormat("cmb_rt_", 43)
CODE = TokenFormat("cmb_ac_", 43)
DEVICE_CODE = TokenFormat("cmb_dc_", 43)
CLIENT_SECRET = TokenFormat("cmb_cs_", 43)

PREFIX = PERSONAL.prefix
