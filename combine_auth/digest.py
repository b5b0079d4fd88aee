"""What the database keeps in place of a token."""

from __future__ import annotations

import hashlib


def sha256(token: str) -> bytes:
    """What the database keeps of a token. With so many random bits, no slow hash is needed."""
    return hashlib.sha256(token.encode()).digest()
