"""What a verified ID token says beside who it is about: cleaned for us, and whom the service lets in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from combine_auth.failure import FailureCode, SignInFailure
from combine_auth.openid.failures import plain
from combine_auth.openid.provider import PERSONAL_TENANT, Claims, Provider
from combine_auth.setting_values import ORGANIZATIONS

# Roughly an address; whether it is the person's own, only the provider can say.
_EMAIL: Final = re.compile(r"[^\s@\x00-\x1f]{1,64}@[^\s@\x00-\x1f]{1,190}")
_LONGEST_NAME: Final = 200
_LONGEST_DOMAIN: Final = 253
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def claims_from(
    claims: Mapping[str, Any], provider: Provider, *, issuer: str, subject: str, tenant: str | None
) -> Claims:
    """The statements of a verified token. Raises SignInFailure for whom the service does not let in."""
    email = _email(claims.get("email"))
    found = Claims(
        issuer=issuer,
        subject=subject,
        email=email,
        email_verified=email is not None and _is_verified(claims, provider),
        name=_name(claims.get("name")),
        tenant=tenant,
        hosted_domain=_domain(claims.get("hd")),
        auth_time=_auth_time(claims.get("auth_time")),
    )
    _check_allowed(found, provider)
    return found


def _check_allowed(claims: Claims, provider: Provider) -> None:
    tenants = provider.allowed_tenants
    if tenants and claims.tenant not in tenants:
        organization = claims.tenant not in (None, PERSONAL_TENANT)
        if not (organization and ORGANIZATIONS in tenants):
            detail = f"the tenant {claims.tenant or 'without a name'} is not among those allowed"
            raise SignInFailure(FailureCode.TENANT_NOT_ALLOWED, detail)
    hosted = provider.allowed_hosted_domains
    if hosted and claims.hosted_domain not in hosted:
        detail = f"the account belongs to {claims.hosted_domain or 'no hosted domain'}"
        raise SignInFailure(FailureCode.DOMAIN_NOT_ALLOWED, detail)
    domains = provider.allowed_email_domains
    if domains:
        if claims.email is None or not claims.email_verified:
            detail = "the provider does not vouch for an e-mail address"
            raise SignInFailure(FailureCode.DOMAIN_NOT_ALLOWED, detail)
        domain = claims.email.rpartition("@")[2].lower()
        if domain not in domains:
            detail = f"addresses of {plain(domain)} are not let in"
            raise SignInFailure(FailureCode.DOMAIN_NOT_ALLOWED, detail)


def _is_verified(claims: Mapping[str, Any], provider: Provider) -> bool:
    said = claims.get(provider.email_verified_claim)
    # Of the same type too: to Python, 1 is True.
    return any(
        type(said) is type(value) and said == value for value in provider.email_verified_values
    )


def _email(value: object) -> str | None:
    if isinstance(value, str) and value.isprintable() and _EMAIL.fullmatch(value):
        return value
    return None


def _name(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    shown = "".join(sign if sign.isprintable() else " " for sign in value[: 2 * _LONGEST_NAME])
    return " ".join(shown.split())[:_LONGEST_NAME] or None


def _domain(value: object) -> str | None:
    if isinstance(value, str) and value.isprintable() and 0 < len(value) <= _LONGEST_DOMAIN:
        return value.lower()
    return None


def _auth_time(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        return None
    return datetime.fromtimestamp(value, UTC)
