"""Nonce and PKCE verifier of a sign-in, derived from its state with the service's secret key.

So the table of attempts holds nothing worth stealing: whoever has a copy of it, and even the state
that went through the browser, can make neither without the key.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field

_NONCE = b"combine sign-in nonce\0"
_VERIFIER = b"combine sign-in verifier\0"
_FINGERPRINT = b"combine sign-in key\0"
_FINGERPRINT_BYTES = 8


@dataclass(frozen=True)
class Secrets:
    """What one sign-in is bound by; each 43 characters of base64url, 256 bits.

    :ivar nonce: comes back within the ID token (OpenID Connect Core 1.0, 3.1.2.1)
    :ivar verifier: shows that who redeems the code is who asked for it (RFC 7636)
    """

    nonce: str
    verifier: str = field(repr=False)


class AttemptKeys:
    """The keys that attempts under way were begun with.

    :param current: the service's secret key; new attempts use it
    :param old: keys that were replaced a short while ago: attempts begun with them still end well
    """

    def __init__(self, current: str, old: Iterable[str] = ()) -> None:
        self.current_id = _fingerprint(current)
        self._keys = {_fingerprint(key): key.encode() for key in (*old, current)}

    def secrets_of(self, state: str, key_id: str) -> Secrets:
        """What belongs to this state.

        :raises KeyError: that key is none of ours any more
        """
        key = self._keys[key_id]
        return Secrets(
            nonce=_derived(key, _NONCE, state.encode()),
            verifier=_derived(key, _VERIFIER, state.encode()),
        )


def new_state() -> str:
    """256 random bits, 43 characters of base64url."""
    return secrets.token_urlsafe(32)


def _derived(key: bytes, label: bytes, text: bytes) -> str:
    digest = hmac.digest(key, label + text, "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _fingerprint(key: str) -> str:
    return hmac.digest(key.encode(), _FINGERPRINT, "sha256")[:_FINGERPRINT_BYTES].hex()
