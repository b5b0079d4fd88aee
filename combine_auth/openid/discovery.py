"""Parses the two documents that a provider publishes: its metadata and its keys.

Only the endpoints and the method of client authentication come from the metadata. Algorithms and issuers
come from the settings.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc.jwk import ECKey, RSAKey

from combine_auth.failures import (
    FailureCode,
    SignInFailure,
    one_line,
    provider_unavailable,
)
from combine_auth.openid.identity_provider import TENANT, IdentityProvider
from combine_auth.setting_values import is_on_loopback, uses_http

PublicKey = RSAKey | ECKey
_LONGEST_URL: Final = 2000
_CLIENT_AUTHENTICATION: Final = ("client_secret_basic", "client_secret_post")
_MAX_KEYS: Final = 100
_RSA_BITS: Final = range(2048, 8192 + 1)
# Key class, key type and members of a key, by the first two letters of the algorithm.
_KEY_TYPES: Final[dict[str, tuple[type[PublicKey], str, tuple[str, ...]]]] = {
    "RS": (RSAKey, "RSA", ("n", "e")),
    "PS": (RSAKey, "RSA", ("n", "e")),
    "ES": (ECKey, "EC", ("crv", "x", "y")),
}
# RFC 7518, 3.4
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@dataclass(frozen=True)
class ProviderMetadata:
    """The part of the metadata that is used.

    :ivar userinfo_endpoint: the source of claims that the ID token lacks; not every provider has one
    :ivar sends_issuer: whether the callback must contain the issuer (RFC 9207)
    :ivar client_auth: the method of client authentication at the token endpoint
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    sends_issuer: bool
    client_auth: str


@dataclass(frozen=True)
class SigningKey:
    """A public key that ID tokens may be signed with (RFC 7517).

    :ivar issuer: the only issuer whose tokens it may sign, with ``{tenantid}``; only Microsoft sets it
    """

    kid: str | None
    algorithm: str
    key: PublicKey
    issuer: str | None


def read_metadata(document: object, provider: IdentityProvider) -> ProviderMetadata:
    """Parse a discovery document. Raises SignInFailure if it is not usable."""
    if not isinstance(document, dict) or not document:
        raise provider_unavailable("the discovery document is not a JSON object")
    _check_issuer(document.get("issuer"), provider)
    supported = document.get("token_endpoint_auth_methods_supported")
    methods = supported if isinstance(supported, list) else []
    return ProviderMetadata(
        authorization_endpoint=_endpoint(document, "authorization_endpoint", provider),
        token_endpoint=_endpoint(document, "token_endpoint", provider),
        jwks_uri=_endpoint(document, "jwks_uri", provider),
        # Sign-in works without these two.
        userinfo_endpoint=_optional(document, "userinfo_endpoint", provider),
        end_session_endpoint=_optional(document, "end_session_endpoint", provider),
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        # The first is the default of OpenID Connect Dynamic Client Registration 1.0, 2.
        client_auth=next(
            (one for one in _CLIENT_AUTHENTICATION if one in methods), _CLIENT_AUTHENTICATION[0]
        ),
    )


def _check_issuer(named: object, provider: IdentityProvider) -> None:
    accepted = {provider.issuer}
    if TENANT in provider.issuer:
        # The document of a single tenant names that tenant.
        accepted |= {provider.issuer.replace(TENANT, one) for one in provider.allowed_tenants}
    if not isinstance(named, str) or named not in accepted:
        shown = one_line(named) if isinstance(named, str) else "none"
        detail = (
            f"the discovery document of {provider.name} names the issuer {shown}, not"
            f" {provider.issuer}: correct {provider.name.upper()}_ISSUER"
        )
        raise SignInFailure(FailureCode.PROVIDER_ERROR, detail)


def _endpoint(document: dict[str, Any], name: str, provider: IdentityProvider) -> str:
    address = document.get(name)
    if not _is_usable_url(address, provider):
        raise provider_unavailable(f"the discovery document has no usable {name}")
    return str(address)


def _optional(document: dict[str, Any], name: str, provider: IdentityProvider) -> str | None:
    address = document.get(name)
    return str(address) if _is_usable_url(address, provider) else None


def _is_usable_url(address: object, provider: IdentityProvider) -> bool:
    """Check for a URL with https, or with http on loopback if the issuer uses http too."""
    if not isinstance(address, str) or len(address) > _LONGEST_URL or not address.isprintable():
        return False
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username is not None or "#" in address or " " in address:
        return False
    allowed = uses_http(address) and uses_http(provider.issuer) and is_on_loopback(address)
    return parts.scheme == "https" or allowed


def read_signing_keys(document: object, algorithms: Sequence[str]) -> tuple[SigningKey, ...]:
    """Return the keys of a key set for these algorithms. Raises SignInFailure if there is none."""
    members = document.get("keys") if isinstance(document, dict) else None
    listed = members[:_MAX_KEYS] if isinstance(members, list) else []
    keys = tuple(key for member in listed for key in _usable_keys(member, algorithms))
    if not keys:
        raise provider_unavailable("the key set has no usable key for ID tokens")
    return keys


def _usable_keys(member: object, algorithms: Sequence[str]) -> Iterator[SigningKey]:
    if not isinstance(member, dict) or member.get("use", "sig") != "sig":
        return
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return
    kid, issuer = member.get("kid"), member.get("issuer")
    if not isinstance(kid, str | None) or not isinstance(issuer, str | None):
        return
    for algorithm in algorithms:
        curve = _CURVES.get(algorithm)
        if member.get("alg", algorithm) == algorithm and curve in (None, member.get("crv")):
            key = _public_key(member, algorithm)
            if key is not None:
                yield SigningKey(kid, algorithm, key, issuer)


def _public_key(member: dict[str, Any], algorithm: str) -> PublicKey | None:
    key_class, kind, required = _KEY_TYPES[algorithm[:2]]
    parts: dict[str, str | list[str]] = {"kty": kind}
    for name in required:
        part = member.get(name)
        if member.get("kty") != kind or not isinstance(part, str):
            return None
        parts[name] = part
    try:
        if kind == "RSA" and _bit_length(str(parts["n"])) not in _RSA_BITS:
            return None
        key = key_class.import_key(parts)
        key.public_key  # noqa: B018 - raises for a point that is not on the curve
    except Exception:  # noqa: BLE001 - joserfc and cryptography do not document what they raise
        return None
    return key


def _bit_length(modulus: str) -> int:
    return int.from_bytes(urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))).bit_length()
