"""Verifies an ID token (OpenID Connect Core 1.0, 3.1.3.7), and reads its claims.

Only the configured algorithms and issuers are accepted. Neither the token's header nor the provider's
metadata can add one.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jws import JWSRegistry

from combine_auth.failures import FailureCode, SignInFailure, one_line
from combine_auth.openid.discovery import SigningKey
from combine_auth.openid.identity_provider import PERSONAL_TENANT, TENANT, IdentityProvider
from combine_auth.setting_values import GUID, ORGANIZATIONS

LEEWAY_S: Final = 60
# The provider issues the token when the code is exchanged, so it is only moments old.
MAX_AGE_S: Final = 600
MAX_LENGTH: Final = 32_000
_MAX_HEADER: Final = 512
_MAX_SUBJECT: Final = 255
_MAX_NAME: Final = 200
_MAX_DOMAIN: Final = 253
_MAX_TIMESTAMP: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
# A rough check of the syntax. Only the provider knows whether the address belongs to the person.
_EMAIL: Final = re.compile(r"[^\s@\x00-\x1f]{1,64}@[^\s@\x00-\x1f]{1,190}")


class UnknownKey(SignInFailure):
    """No known key verifies the token. The provider may have published new ones."""


@dataclass(frozen=True)
class Claims:
    """The claims of a verified ID token. Texts are printable, and short enough to store.

    :ivar issuer: in its canonical form; Microsoft's contains the token's tenant. Issuer and `subject`
        identify the person permanently
    :ivar email: a well-formed address, or ``None``; it belongs to the person only if `email_verified`
    :ivar tenant: Microsoft's ``tid``
    :ivar object_id: Microsoft's ``oid``. Unlike `subject`, it survives a new registration of the service
    :ivar recognise_by_oid: whether tenant and object id may identify a person whose subject is unknown
    :ivar hosted_domain: Google's ``hd``
    :ivar auth_time: when the person last authenticated at the provider, if the token contains it
    """

    issuer: str
    subject: str
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    tenant: str | None = None
    object_id: str | None = None
    recognise_by_oid: bool = False
    hosted_domain: str | None = None
    auth_time: datetime | None = None


def verify_id_token(
    token: object,
    keys: Sequence[SigningKey],
    provider: IdentityProvider,
    *,
    nonce: str,
    now: float,
    userinfo: Callable[[], object] | None = None,
) -> Claims:
    """Verify the token, check that the person may sign in, and return the claims.

    :param token: the ID token from the token endpoint, not validated
    :param userinfo: calls the userinfo endpoint; used if the token lacks a name or an address that the
        scopes request
    :param nonce: the nonce of the authorization request
    :param now: seconds since the epoch
    :raises UnknownKey: none of the keys verifies the signature
    :raises SignInFailure: any other check failed
    """
    claims, key = _verify_signature(token, keys, provider)
    tenant = _tenant(claims, provider)
    issuer = _issuer(claims, provider, tenant)
    _check_key(key, claims, provider)
    _check_audience(claims, provider.client_id)
    _check_times(claims, now)
    _check_nonce(claims, nonce)
    subject = _subject(claims)
    missing = _missing_claims(claims, provider)
    if missing and userinfo is not None:
        claims |= _userinfo_claims(userinfo(), subject, missing)
    email = _email(claims.get("email"))
    found = Claims(
        issuer=issuer,
        subject=subject,
        email=email,
        email_verified=email is not None and _is_verified(claims, provider),
        name=_name(claims.get("name")),
        tenant=tenant,
        object_id=_guid(claims.get("oid")),
        recognise_by_oid=provider.recognise_by_oid,
        hosted_domain=_domain(claims.get("hd")),
        auth_time=_auth_time(claims.get("auth_time")),
    )
    _check_allowed(found, provider)
    return found


def _invalid(why: str) -> SignInFailure:
    return SignInFailure(FailureCode.ID_TOKEN_INVALID, f"the ID token {why}")


# The signature.


def _verify_signature(
    token: object, keys: Sequence[SigningKey], provider: IdentityProvider
) -> tuple[dict[str, Any], SigningKey]:
    """Return the signed claims, and the key that verified them."""
    if not isinstance(token, str) or not token.isascii():
        raise _invalid("is missing" if token is None else "is not ASCII text")
    if len(token) > MAX_LENGTH:
        raise _invalid(f"is larger than {MAX_LENGTH} characters")
    algorithm, kid = _header(token)
    if algorithm not in provider.algorithms:
        accepted = " or ".join(provider.algorithms)
        raise _invalid(f"is signed with {one_line(algorithm)}, not {accepted}")
    usable = [key for key in keys if key.algorithm == algorithm]
    matching = [key for key in usable if kid in (None, key.kid)]
    if len(usable) == 1 and usable[0].kid is None:
        # A key set may omit the id of its only key (OpenID Connect Core 1.0, 10.1).
        matching = usable
    if not matching:
        raise UnknownKey(FailureCode.ID_TOKEN_INVALID, f"no key has the id {one_line(str(kid))}")
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    for key in matching:
        try:
            claims = jwt.decode(token, key.key, registry=registry).claims
        except BadSignatureError:
            continue
        except Exception as error:  # noqa: BLE001 - joserfc does not document what it raises
            why = f"cannot be read ({type(error).__name__})"
        else:
            return claims, key
        raise _invalid(why)
    raise UnknownKey(FailureCode.ID_TOKEN_INVALID, "no key verifies the ID token's signature")


def _header(token: str) -> tuple[str, str | None]:
    """Return the algorithm and the key id of the token's header."""
    encoded = token.partition(".")[0]
    if len(encoded) > 2 * _MAX_HEADER or token.count(".") != 2:
        raise _invalid("is not a signed token")
    try:
        header = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise _invalid("has no header")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None):
        raise _invalid("has an unusable header")
    return algorithm, kid


def _check_key(key: SigningKey, claims: dict[str, Any], provider: IdentityProvider) -> None:
    # Some of Microsoft's keys sign only for a single tenant, or for personal accounts.
    if key.issuer is not None and TENANT in provider.issuer:
        tenant = claims.get("tid")
        expected = key.issuer.replace(TENANT, tenant) if isinstance(tenant, str) else None
        if claims.get("iss") != expected:
            raise _invalid("is signed with a key of another issuer")


# Issuer, audience, times, nonce and subject.


def _tenant(claims: dict[str, Any], provider: IdentityProvider) -> str | None:
    tenant = claims.get("tid")
    if TENANT not in provider.issuer:
        return _guid(tenant)
    if not isinstance(tenant, str) or not GUID.fullmatch(tenant) or tenant != tenant.lower():
        raise SignInFailure(FailureCode.TENANT_NOT_ALLOWED, "the ID token names no tenant")
    if claims.get("iss") != provider.issuer.replace(TENANT, tenant):
        detail = f"the ID token of the tenant {tenant} names another issuer"
        raise SignInFailure(FailureCode.TENANT_NOT_ALLOWED, detail)
    return tenant


def _guid(value: object) -> str | None:
    return value if isinstance(value, str) and GUID.fullmatch(value) else None


def _issuer(claims: dict[str, Any], provider: IdentityProvider, tenant: str | None) -> str:
    """Return the issuer in its canonical form."""
    if TENANT in provider.issuer:
        return provider.issuer.replace(TENANT, str(tenant))
    named = claims.get("iss")
    if named != provider.issuer and not (
        isinstance(named, str) and named in provider.other_issuers
    ):
        shown = one_line(named) if isinstance(named, str) else "none"
        raise _invalid(f"has another issuer: {shown}")
    return provider.issuer


def _check_audience(claims: dict[str, Any], client_id: str) -> None:
    audience, party = claims.get("aud"), claims.get("azp")
    if isinstance(audience, list) and all(isinstance(one, str) for one in audience):
        has_several = len(set(audience)) > 1
        is_ours = client_id in audience
    else:
        has_several, is_ours = False, audience == client_id
    if not is_ours:
        raise _invalid("is for another client")
    if party is None and has_several:
        raise _invalid("is for several clients, and has no azp claim")
    if party is not None and party != client_id:
        raise _invalid("was issued to another client")


def _check_times(claims: dict[str, Any], now: float) -> None:
    expires, issued = _timestamp(claims, "exp"), _timestamp(claims, "iat")
    if expires is None or issued is None:
        raise _invalid("lacks iat or exp")
    if now - expires > LEEWAY_S:
        raise _invalid(f"expired {now - expires:.0f} s ago: check the clock of this machine")
    if now - issued > MAX_AGE_S:
        raise _invalid(f"was issued {now - issued:.0f} s ago: check the clock of this machine")
    for name, moment in (("iat", issued), ("nbf", _timestamp(claims, "nbf"))):
        if moment is not None and moment - now > LEEWAY_S:
            raise _invalid(
                f"is from the future: its {name} is {moment - now:.0f} s ahead: check the clock of this"
                " machine"
            )


def _timestamp(claims: dict[str, Any], name: str) -> float | None:
    """Return the claim as seconds since the epoch; ``None`` if it is missing."""
    value = claims.get(name)
    if value is None:
        return None
    # Larger integers cannot be represented as a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise _invalid(f"has an unusable {name}")
    return value if math.isfinite(value) else None


def _check_nonce(claims: dict[str, Any], nonce: str) -> None:
    received = claims.get("nonce")
    if not isinstance(received, str) or not received or not nonce:
        raise _invalid("lacks the nonce of the request")
    if not hmac.compare_digest(received.encode(errors="replace"), nonce.encode(errors="replace")):
        raise _invalid("belongs to another sign-in: its nonce differs")


def _subject(claims: dict[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise _invalid("lacks sub")
    if len(subject) > _MAX_SUBJECT or not subject.isprintable() or not subject.isascii():
        raise _invalid(f"has a subject that is not at most {_MAX_SUBJECT} ASCII characters")
    return subject


# The claims about the person. A malformed claim counts as missing.


def _missing_claims(claims: dict[str, Any], provider: IdentityProvider) -> tuple[str, ...]:
    """Return the names of the claims to take from the userinfo endpoint.

    A provider that also issues an access token may omit them from the ID token (OpenID Connect Core 1.0,
    5.4). Okta's organization server does so.
    """
    missing: tuple[str, ...] = ()
    if provider.asks_userinfo:
        if "email" in provider.scopes and "email" not in claims:
            # Taken together, because the verified flag applies to the address of the same source.
            missing += ("email", provider.email_verified_claim)
        if "profile" in provider.scopes and "name" not in claims:
            missing += ("name",)
    return missing


def _userinfo_claims(content: object, subject: str, names: Sequence[str]) -> dict[str, Any]:
    """Return these claims of the userinfo, which must have the ID token's subject (Core 1.0, 5.3.2)."""
    if not isinstance(content, dict) or content.get("sub") != subject:
        detail = "the userinfo is about another person than the ID token: its sub differs"
        raise SignInFailure(FailureCode.ID_TOKEN_INVALID, detail)
    return {name: content.get(name) for name in names}


def _is_verified(claims: dict[str, Any], provider: IdentityProvider) -> bool:
    claim = claims.get(provider.email_verified_claim)
    # The type is compared too, because 1 == True in Python.
    return any(
        type(claim) is type(value) and claim == value for value in provider.email_verified_values
    )


def _email(value: object) -> str | None:
    if isinstance(value, str) and value.isprintable() and _EMAIL.fullmatch(value):
        return value
    return None


def _name(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    printable = "".join(char if char.isprintable() else " " for char in value[: 2 * _MAX_NAME])
    return " ".join(printable.split())[:_MAX_NAME].rstrip() or None


def _domain(value: object) -> str | None:
    if isinstance(value, str) and value.isprintable() and 0 < len(value) <= _MAX_DOMAIN:
        return value.lower()
    return None


def _auth_time(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return datetime.fromtimestamp(value, UTC) if 0 <= value < _MAX_TIMESTAMP else None


def _check_allowed(claims: Claims, provider: IdentityProvider) -> None:
    """Apply the operator's restrictions on tenants and domains."""
    tenants = provider.allowed_tenants
    if tenants and claims.tenant not in tenants:
        is_organization = claims.tenant not in (None, PERSONAL_TENANT)
        if not (is_organization and ORGANIZATIONS in tenants):
            detail = f"the tenant {claims.tenant or '(none)'} is not allowed"
            raise SignInFailure(FailureCode.TENANT_NOT_ALLOWED, detail)
    hosted = provider.allowed_hosted_domains
    if hosted and claims.hosted_domain not in hosted:
        detail = f"the account belongs to {claims.hosted_domain or 'no hosted domain'}"
        raise SignInFailure(FailureCode.DOMAIN_NOT_ALLOWED, detail)
    domains = provider.allowed_email_domains
    if domains:
        if claims.email is None or not claims.email_verified:
            detail = "the account has no verified e-mail address"
            raise SignInFailure(FailureCode.DOMAIN_NOT_ALLOWED, detail)
        domain = claims.email.rpartition("@")[2].lower()
        if domain not in domains:
            detail = f"the domain {one_line(domain)} is not allowed"
            raise SignInFailure(FailureCode.DOMAIN_NOT_ALLOWED, detail)
