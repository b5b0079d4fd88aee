"""Describes identity providers: issuer, registration of the service, and restrictions on users."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import SecretStr

from combine_auth.provider_settings import IdentityProviderSettings
from combine_auth.setting_values import ALGORITHMS, ORGANIZATIONS, PROVIDER_NAME
from combine_auth.settings import AuthSettings

# Microsoft's metadata has this placeholder for the tenant's id in the issuer.
TENANT: Final = "{tenantid}"
# Microsoft's tenant of personal accounts.
PERSONAL_TENANT: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_NO_PARAMETERS: Final[Mapping[str, str]] = MappingProxyType({})
# Many people have several accounts in one browser. Without this, the provider may choose one for them.
_CHOOSE_ACCOUNT: Final = {"prompt": "select_account"}


@dataclass(frozen=True)
class IdentityProvider:
    """An OpenID provider and the service's registration with it.

    :ivar name: the name in paths and variables: ``google``
    :ivar title: the name on buttons: ``Google``
    :ivar issuer: exactly as the provider writes it, with ``{tenantid}`` in place of a tenant
    :ivar discovery_url: the address of its metadata (OpenID Connect Discovery 1.0, 4)
    :ivar client_id: if a plugin leaves it empty, it comes from the settings of that name
    :ivar client_key_file: the private key that replaces `client_secret`
    :ivar algorithms: the algorithms accepted for ID tokens; neither token nor metadata can add one
    :ivar extra_parameters: additional parameters of the authorization request
    :ivar other_issuers: other spellings of the issuer in ID tokens
    :ivar allowed_tenants: ids, or ``organizations``; empty for any
    :ivar allowed_hosted_domains: Google Workspace domains (the claim ``hd``); empty for any
    :ivar allowed_email_domains: domains of verified addresses; empty for any
    :ivar email_verified_claim: the claim that confirms that the address belongs to the person
    :ivar email_verified_values: the values of that claim that confirm it
    :ivar recognise_by_oid: whether ``tid`` and ``oid`` identify a person whose subject is unknown
    :ivar asks_userinfo: whether to request a name or an address that the ID token lacks from the userinfo
        endpoint
    :ivar console: the page where the service is registered, for the operator
    """

    name: str
    title: str
    issuer: str
    discovery_url: str
    client_id: str = ""
    client_secret: SecretStr = field(default_factory=lambda: SecretStr(""))
    client_key_file: Path | None = None
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    algorithms: tuple[str, ...] = ("RS256",)
    extra_parameters: Mapping[str, str] = field(default_factory=lambda: _NO_PARAMETERS)
    other_issuers: tuple[str, ...] = ()
    allowed_tenants: frozenset[str] = frozenset()
    allowed_hosted_domains: frozenset[str] = frozenset()
    allowed_email_domains: frozenset[str] = frozenset()
    email_verified_claim: str = "email_verified"
    email_verified_values: tuple[bool | int | str, ...] = (True,)
    recognise_by_oid: bool = False
    asks_userinfo: bool = True
    console: str = "the provider's console"

    def __post_init__(self) -> None:
        """Validate the fields. Raises ValueError for values that cannot work or are unsafe."""
        if not PROVIDER_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a valid provider name: use a-z, 0-9 and _")
        if not self.algorithms or not set(self.algorithms) <= set(ALGORITHMS):
            raise ValueError(f"{self.name}: use algorithms from {', '.join(ALGORITHMS)}")
        if "openid" not in self.scopes:
            raise ValueError(f"{self.name}: add openid to the scopes")


def redirect_uri(public_url: str, provider_name: str) -> str:
    """Return the redirect URI, which must be registered in the provider's console."""
    return f"{public_url}/auth/{provider_name}/callback"


GOOGLE: Final = IdentityProvider(
    name="google",
    title="Google",
    issuer="https://accounts.google.com",
    discovery_url=f"https://accounts.google.com{_WELL_KNOWN}",
    other_issuers=("accounts.google.com",),
    extra_parameters=_CHOOSE_ACCOUNT,
    console="Google Cloud console, APIs & Services, Credentials, OAuth 2.0 Client IDs",
)
MICROSOFT: Final = IdentityProvider(
    name="microsoft",
    title="Microsoft",
    issuer=f"https://login.microsoftonline.com/{TENANT}/v2.0",
    discovery_url=f"https://login.microsoftonline.com/common/v2.0{_WELL_KNOWN}",
    extra_parameters=_CHOOSE_ACCOUNT,
    # A tenant's administrator can set `email` to any address. Only this optional claim confirms that
    # the address was verified.
    email_verified_claim="xms_edov",
    email_verified_values=(True, 1, "1", "true"),
    # Its subjects depend on the registration of the service. All of them change with a new one.
    recognise_by_oid=True,
    # Its userinfo adds nothing to the ID token, lacks xms_edov, and has another `sub`.
    asks_userinfo=False,
    console="Azure portal, Microsoft Entra ID, App registrations, Authentication",
)


def other_provider(name: str, issuer: str) -> IdentityProvider:
    """Return an OpenID provider of which only the issuer is known."""
    return IdentityProvider(
        name=name,
        title=name.replace("_", " ").title(),
        issuer=issuer,
        discovery_url=discovery_url(issuer),
    )


def with_settings(
    template: IdentityProvider, configured: IdentityProviderSettings, settings: AuthSettings
) -> IdentityProvider:
    """Return the provider with the registration and the restrictions from the settings."""
    provider = replace(
        template,
        title=configured.title or template.title,
        client_id=configured.client_id or template.client_id,
        client_secret=configured.client_secret or template.client_secret,
        recognise_by_oid=(
            template.recognise_by_oid
            if configured.recognise_by_oid is None
            else configured.recognise_by_oid
        ),
        client_key_file=configured.client_key_file or template.client_key_file,
        scopes=configured.scopes or template.scopes,
        algorithms=configured.algorithms or template.algorithms,
        allowed_email_domains=frozenset(configured.email_domains) or template.allowed_email_domains,
    )
    if template.name == GOOGLE.name:
        hosted = frozenset(settings.google_hosted_domains)
        # Only a hint for Google's page. The claim in the ID token is what is checked.
        hint = {"hd": next(iter(hosted))} if len(hosted) == 1 else {}
        provider = replace(
            provider,
            allowed_hosted_domains=hosted,
            extra_parameters={**provider.extra_parameters, **hint},
        )
    if template.name == MICROSOFT.name:
        tenants = frozenset(settings.microsoft_tenants)
        provider = replace(
            provider,
            allowed_tenants=tenants,
            discovery_url=discovery_url(provider.issuer, tenants),
        )
    if configured.issuer is not None:
        provider = with_issuer(provider, configured.issuer)
    if configured.discovery_url is not None:
        provider = replace(provider, discovery_url=configured.discovery_url)
    return provider


def with_issuer(template: IdentityProvider, issuer: str) -> IdentityProvider:
    if template.name == MICROSOFT.name:
        # Microsoft documents these addresses, but no token has one as its issuer.
        issuer = re.sub("/(common|organizations|consumers)/", f"/{TENANT}/", issuer, count=1)
    return replace(
        template,
        issuer=issuer,
        discovery_url=discovery_url(issuer, template.allowed_tenants),
        other_issuers=(issuer.partition("://")[2],) if template.other_issuers else (),
    )


def discovery_url(issuer: str, tenants: frozenset[str] = frozenset()) -> str:
    """Return the address of an issuer's metadata (OpenID Connect Discovery 1.0, 4)."""
    if len(tenants) == 1:
        (chosen,) = tenants
    else:
        chosen = ORGANIZATIONS if tenants and PERSONAL_TENANT not in tenants else "common"
    return issuer.removesuffix("/").replace(TENANT, chosen) + _WELL_KNOWN
