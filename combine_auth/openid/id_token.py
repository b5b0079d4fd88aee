"""Verify an ID token (OpenID Connect Core 1.0, 3.1.3.7): strictly, and with no other exception than one.

What counts is the provider as configured. Neither the token's header nor the provider's metadata may
add an algorithm, a key or an issuer.
"""

from __future__ import annotations

import hmac
import json
import math
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jws import JWSRegistry

from combine_auth.failure import FailureCode, SignInFailure
from combine_auth.openid.failures import plain
from combine_auth.openid.provider import TENANT, Claims, Provider
from combine_auth.openid.signing_keys import SigningKey
from combine_auth.openid.statements import claims_from
from combine_auth.setting_values import GUID

LEEWAY_S: Final = 60
# A token is made for the code that it is exchanged for: moments ago.
OLDEST_S: Final = 600
LARGEST: Final = 32_000
_LARGEST_HEADER: Final = 512
_LONGEST_SUBJECT: Final = 255
# What joserfc and json make of odd tokens.
_UNREADABLE: Final = (JoseError, ValueError, TypeError, LookupError, AttributeError, RecursionError)


class UnknownKey(SignInFailure):
    """No key that is known verifies it: the provider may have new ones."""


def verified(
    token: object, keys: Sequence[SigningKey], provider: Provider, *, nonce: str, now: float
) -> Claims:
    """What the token says, if all of it is in order.

    :param token: as the token endpoint gave it
    :param nonce: that was sent with the authorization request
    :param now: seconds since the epoch
    :raises UnknownKey: its signature is by none of the keys
    :raises SignInFailure: anything else
    """
    claims, key = _signed(token, keys, provider)
    tenant = _tenant(claims, provider)
    issuer = _issuer(claims, provider, tenant)
    _check_key(key, claims, provider)
    _check_audience(claims, provider.client_id)
    _check_times(claims, now)
    _check_nonce(claims, nonce)
    return claims_from(claims, provider, issuer=issuer, subject=_subject(claims), tenant=tenant)


def invalid(why: str) -> SignInFailure:
    """The failure for a token that is not in order."""
    return SignInFailure(FailureCode.ID_TOKEN_INVALID, f"the ID token {why}")


def _signed(
    token: object, keys: Sequence[SigningKey], provider: Provider
) -> tuple[dict[str, Any], SigningKey]:
    """The claims under a good signature, and the key that it is by."""
    if not isinstance(token, str) or not token.isascii():
        raise invalid("is missing" if token is None else "is no text")
    if len(token) > LARGEST:
        raise invalid(f"is larger than {LARGEST} characters")
    algorithm, kid = _header(token)
    if algorithm not in provider.algorithms:
        raise invalid(f"is signed with {plain(algorithm)}, not {' or '.join(provider.algorithms)}")
    fitting = [key for key in keys if key.algorithm == algorithm and kid in (None, key.kid)]
    if not fitting:
        raise UnknownKey(FailureCode.ID_TOKEN_INVALID, f"no key has the id {plain(str(kid))}")
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    for key in fitting:
        try:
            claims = jwt.decode(token, key.key, registry=registry).claims
        except BadSignatureError:
            continue
        except _UNREADABLE as error:
            why = f"cannot be read ({type(error).__name__})"
        else:
            return claims, key
        raise invalid(why)
    raise UnknownKey(FailureCode.ID_TOKEN_INVALID, "no key verifies the ID token's signature")


def _header(token: str) -> tuple[str, str | None]:
    """Algorithm and key id."""
    encoded = token.partition(".")[0]
    if len(encoded) > 2 * _LARGEST_HEADER or token.count(".") != 2:
        raise invalid("is no signed token")
    try:
        header = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise invalid("has no header")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None):
        raise invalid("has an unusable header")
    return algorithm, kid


def _check_key(key: SigningKey, claims: dict[str, Any], provider: Provider) -> None:
    # Microsoft: a key of one tenant, or of personal accounts, signs for nobody else.
    if key.issuer is not None and TENANT in provider.issuer:
        tenant = claims.get("tid")
        wanted = key.issuer.replace(TENANT, tenant) if isinstance(tenant, str) else None
        if claims.get("iss") != wanted:
            raise invalid("is signed with a key of another issuer")


def _tenant(claims: dict[str, Any], provider: Provider) -> str | None:
    tenant = claims.get("tid")
    if TENANT not in provider.issuer:
        return tenant if isinstance(tenant, str) and GUID.fullmatch(tenant) else None
    if not isinstance(tenant, str) or not GUID.fullmatch(tenant) or tenant != tenant.lower():
        detail = "the ID token names no tenant"
        raise SignInFailure(FailureCode.TENANT_NOT_ALLOWED, detail)
    if claims.get("iss") != provider.issuer.replace(TENANT, tenant):
        detail = f"the ID token of the tenant {tenant} names another issuer"
        raise SignInFailure(FailureCode.TENANT_NOT_ALLOWED, detail)
    return tenant


def _issuer(claims: dict[str, Any], provider: Provider, tenant: str | None) -> str:
    """The issuer in its one spelling."""
    if TENANT in provider.issuer:
        return provider.issuer.replace(TENANT, str(tenant))
    named = claims.get("iss")
    if named != provider.issuer and not (
        isinstance(named, str) and named in provider.other_issuers
    ):
        shown = plain(named) if isinstance(named, str) else "none"
        raise invalid(f"is of another issuer: {shown}")
    return provider.issuer


def _check_audience(claims: dict[str, Any], client_id: str) -> None:
    audience, party = claims.get("aud"), claims.get("azp")
    if isinstance(audience, list) and all(isinstance(one, str) for one in audience):
        several = len(set(audience)) > 1
        meant = client_id in audience
    else:
        several, meant = False, audience == client_id
    if not meant:
        raise invalid("is for another client")
    if party is None and several:
        raise invalid("is for several clients, and does not say for which of them it was made")
    if party is not None and party != client_id:
        raise invalid("was made for another client")


def _check_times(claims: dict[str, Any], now: float) -> None:
    expires, issued = _moment(claims, "exp"), _moment(claims, "iat")
    if expires is None or issued is None:
        raise invalid("does not say when it was made and when it expires")
    if now - expires > LEEWAY_S:
        raise invalid(f"expired {now - expires:.0f} s ago; is the clock of this machine right?")
    if now - issued > OLDEST_S:
        raise invalid(f"was made {now - issued:.0f} s ago; is the clock of this machine right?")
    for name, moment in (("iat", issued), ("nbf", _moment(claims, "nbf"))):
        if moment is not None and moment - now > LEEWAY_S:
            raise invalid(
                f"is of the future: its {name} is {moment - now:.0f} s ahead; is the clock of this"
                " machine right?"
            )


def _moment(claims: dict[str, Any], name: str) -> float | None:
    """Seconds since the epoch."""
    value = claims.get(name)
    if value is None:
        return None
    # Beyond that no clock goes, nor a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise invalid(f"has an unusable {name}")
    return value if math.isfinite(value) else None


def _check_nonce(claims: dict[str, Any], nonce: str) -> None:
    given = claims.get("nonce")
    if not isinstance(given, str) or not given or not nonce:
        raise invalid("lacks the nonce that was asked for")
    if not hmac.compare_digest(given.encode(errors="replace"), nonce.encode(errors="replace")):
        raise invalid("was made for another sign-in: its nonce differs")


def _subject(claims: dict[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise invalid("does not say who it is about")
    if len(subject) > _LONGEST_SUBJECT or not subject.isprintable() or not subject.isascii():
        raise invalid(f"has a subject that is not at most {_LONGEST_SUBJECT} ASCII characters")
    return subject
