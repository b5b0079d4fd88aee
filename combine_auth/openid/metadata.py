"""A provider's metadata: where its endpoints are (OpenID Connect Discovery 1.0, RFC 8414)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from combine_auth.failure import FailureCode, SignInFailure
from combine_auth.openid.failures import RETRY_S, plain
from combine_auth.openid.provider import TENANT, Provider
from combine_auth.setting_values import is_on_loopback, is_plain

_LONGEST_URL: Final = 2000
_METHODS: Final = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True)
class Metadata:
    """What is used of it. Algorithms are not: those are the service's own choice.

    :ivar names_itself: it sends its issuer to the callback (RFC 9207), so that one must be there
    :ivar client_auth: how the service shows its secret
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None
    names_itself: bool
    client_auth: str


def metadata_of(document: object, provider: Provider) -> Metadata:
    """Read a discovery document. Raises SignInFailure where it cannot be used."""
    if not isinstance(document, dict) or not document:
        raise _unusable("is no JSON object")
    _check_issuer(document.get("issuer"), provider)
    end_session = document.get("end_session_endpoint")
    return Metadata(
        authorization_endpoint=_endpoint(document, "authorization_endpoint", provider),
        token_endpoint=_endpoint(document, "token_endpoint", provider),
        jwks_uri=_endpoint(document, "jwks_uri", provider),
        # Nobody needs it to sign in.
        end_session_endpoint=end_session if _is_address(end_session, provider) else None,
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        client_auth=_client_auth(document.get("token_endpoint_auth_methods_supported")),
    )


def _check_issuer(named: object, provider: Provider) -> None:
    accepted = {provider.issuer}
    if TENANT in provider.issuer:
        # The document of one tenant names that tenant.
        accepted |= {provider.issuer.replace(TENANT, one) for one in provider.allowed_tenants}
    if not isinstance(named, str) or named not in accepted:
        shown = plain(named) if isinstance(named, str) else "none"
        detail = (
            f"the discovery document of {provider.name} names the issuer {shown}, not"
            f" {provider.issuer}: correct {provider.name.upper()}_ISSUER"
        )
        raise SignInFailure(FailureCode.PROVIDER_ERROR, detail)


def _endpoint(document: dict[str, Any], name: str, provider: Provider) -> str:
    address = document.get(name)
    if not _is_address(address, provider):
        raise _unusable(f"has no usable {name}")
    return str(address)


def _is_address(address: object, provider: Provider) -> bool:
    """Whether it is a URL that may be used: https, or http on loopback as the issuer's own is."""
    if not isinstance(address, str) or len(address) > _LONGEST_URL or not address.isprintable():
        return False
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username is not None or "#" in address or " " in address:
        return False
    allowed = is_plain(address) and is_plain(provider.issuer) and is_on_loopback(address)
    return parts.scheme == "https" or allowed


def _client_auth(supported: object) -> str:
    methods = supported if isinstance(supported, list) else []
    # The first is the default of clients that are registered without saying (Registration 1.0, 2).
    return next((method for method in _METHODS if method in methods), _METHODS[0])


def _unusable(what: str) -> SignInFailure:
    detail = f"the discovery document {what}"
    return SignInFailure(FailureCode.PROVIDER_UNAVAILABLE, detail, RETRY_S)
