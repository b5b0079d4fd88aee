"""The provider's public keys (RFC 7517), those among them that can have signed an ID token."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from combine_auth.failure import FailureCode, SignInFailure
from combine_auth.openid.failures import RETRY_S

PublicKey = RSAKey | ECKey
_MOST: Final = 100
_SMALLEST_RSA_BITS: Final = 2048
_LARGEST_RSA_BITS: Final = 8192
# By the beginning of the algorithm's name: the type of its keys, and the members that make one.
_TYPES: Final[dict[str, tuple[type[PublicKey], str, tuple[str, ...]]]] = {
    "RS": (RSAKey, "RSA", ("n", "e")),
    "PS": (RSAKey, "RSA", ("n", "e")),
    "ES": (ECKey, "EC", ("crv", "x", "y")),
}


@dataclass(frozen=True)
class SigningKey:
    """A key.

    :ivar algorithm: what it is used with
    :ivar issuer: for whose tokens alone, if the key says so (Microsoft), ``{tenantid}`` and all
    """

    kid: str | None
    algorithm: str
    key: PublicKey
    issuer: str | None


def signing_keys(document: object, algorithms: Sequence[str]) -> tuple[SigningKey, ...]:
    """The usable keys of a key set; others are passed over. Raises SignInFailure where there is none.

    :param algorithms: that tokens may be signed with
    """
    members = document.get("keys") if isinstance(document, dict) else None
    listed = members[:_MOST] if isinstance(members, list) else []
    keys = tuple(key for member in listed for key in _usable(member, algorithms))
    if not keys:
        detail = "the key set holds no key that ID tokens could be signed with"
        raise SignInFailure(FailureCode.PROVIDER_UNAVAILABLE, detail, RETRY_S)
    return keys


def _usable(member: object, algorithms: Sequence[str]) -> Iterator[SigningKey]:
    if not isinstance(member, dict) or member.get("use", "sig") != "sig":
        return
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return
    kid, issuer = member.get("kid"), member.get("issuer")
    if not isinstance(kid, str | None) or not isinstance(issuer, str | None):
        return
    for algorithm in algorithms:
        if member.get("alg", algorithm) == algorithm:
            key = _public_key(member, algorithm)
            if key is not None:
                yield SigningKey(kid, algorithm, key, issuer)


def _public_key(member: dict[str, Any], algorithm: str) -> PublicKey | None:
    made_by, kind, needed = _TYPES[algorithm[:2]]
    parts: dict[str, str | list[str]] = {"kty": kind}
    for name in needed:
        part = member.get(name)
        if member.get("kty") != kind or not isinstance(part, str):
            return None
        parts[name] = part
    try:
        if kind == "RSA" and not _is_large_enough(str(parts["n"])):
            return None
        key = made_by.import_key(parts)
        key.public_key  # noqa: B018 - a point that is not on the curve is found here
    except (JoseError, ValueError, TypeError):
        return None
    return key


def _is_large_enough(modulus: str) -> bool:
    number = int.from_bytes(urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4)))
    return _SMALLEST_RSA_BITS <= number.bit_length() <= _LARGEST_RSA_BITS
