"""An identity provider as data: its issuer, our registration with it, and who may sign in."""

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

# Microsoft publishes its issuer with this in place of the tenant's id.
TENANT: Final = "{tenantid}"
# Microsoft's tenant of personal accounts.
PERSONAL_TENANT: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_NO_PARAMETERS: Final[Mapping[str, str]] = MappingProxyType({})
# Many people have several accounts in one browser. Without this, the provider may choose one itself.
_CHOOSE_ACCOUNT: Final = {"prompt": "select_account"}


@dataclass(frozen=True)
class IdentityProvider:
    """One OpenID provider and the service's registration with it.

    :ivar name: in paths and variables: ``google``
    :ivar title: on buttons: ``Google``
    :ivar issuer: exactly as the provider writes it, with ``{tenantid}`` in place of a tenant
    :ivar discovery_url: the address of its metadata (OpenID Connect Discovery 1.0, 4)
    :ivar client_id: empty in a plugin's provider: then the settings of that name are read
    :ivar client_key_file: the private key that takes the place of `client_secret`
    :ivar algorithms: accepted for ID tokens; neither token nor metadata can add to them
    :ivar extra_parameters: of the authorization request
    :ivar other_issuers: other spellings of the issuer in ID tokens
    :ivar allowed_tenants: ids, or ``organizations``; empty: any
    :ivar allowed_hosted_domains: of Google Workspace (the claim ``hd``); empty: any
    :ivar allowed_email_domains: of verified addresses; empty: any
    :ivar email_verified_claim: the claim which says that the address belongs to the person
    :ivar email_verified_values: the values of that claim which say so
    :ivar recognise_by_oid: whether the claims ``tid`` and ``oid`` find the person if the subject is unknown
    :ivar asks_userinfo: whether the userinfo endpoint is asked for a name or an e-mail address that the ID
        token lacks
    :ivar console: where the service is registered, in words for the operator
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
        """Refuse what could never work or would be unsafe. Raises ValueError."""
        if not PROVIDER_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no valid provider name: write a-z, 0-9 and _")
        if not self.algorithms or not set(self.algorithms) <= set(ALGORITHMS):
            raise ValueError(f"{self.name}: algorithms are some of {', '.join(ALGORITHMS)}")
        if "openid" not in self.scopes:
            raise ValueError(f"{self.name}: the scopes lack openid")


def redirect_uri(public_url: str, provider_name: str) -> str:
    """Where the provider sends the browser back to; to be registered in the provider's console."""
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
    # A tenant's administrator can write any address into `email`. Only this optional claim says that
    # the address was verified.
    email_verified_claim="xms_edov",
    email_verified_values=(True, 1, "1", "true"),
    # Its subjects are made for one registration of the service. With another, all of them change.
    recognise_by_oid=True,
    # It says no more than the ID token, does not know xms_edov, and calls the person by another `sub`.
    asks_userinfo=False,
    console="Azure portal, Microsoft Entra ID, App registrations, Authentication",
)


def other_provider(name: str, issuer: str) -> IdentityProvider:
    """An OpenID provider of which the settings name only the issuer."""
    return IdentityProvider(
        name=name,
        title=name.replace("_", " ").title(),
        issuer=issuer,
        discovery_url=discovery_url(issuer),
    )


def with_settings(
    template: IdentityProvider, given: IdentityProviderSettings, settings: AuthSettings
) -> IdentityProvider:
    """The provider with the service's registration and the restrictions that the settings name."""
    provider = replace(
        template,
        title=given.title or template.title,
        client_id=given.client_id or template.client_id,
        client_secret=given.client_secret or template.client_secret,
        recognise_by_oid=(
            template.recognise_by_oid if given.recognise_by_oid is None else given.recognise_by_oid
        ),
        client_key_file=given.client_key_file or template.client_key_file,
        scopes=given.scopes or template.scopes,
        algorithms=given.algorithms or template.algorithms,
        allowed_email_domains=frozenset(given.email_domains) or template.allowed_email_domains,
    )
    if template.name == GOOGLE.name:
        hosted = frozenset(settings.google_hosted_domains)
        # Only a hint for Google's page. The check is of the claim in the ID token.
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
    if given.issuer is not None:
        provider = with_issuer(provider, given.issuer)
    if given.discovery_url is not None:
        provider = replace(provider, discovery_url=given.discovery_url)
    return provider


def with_issuer(template: IdentityProvider, issuer: str) -> IdentityProvider:
    if template.name == MICROSOFT.name:
        # Microsoft's documentation writes these addresses, but no token names them as its issuer.
        issuer = re.sub("/(common|organizations|consumers)/", f"/{TENANT}/", issuer, count=1)
    return replace(
        template,
        issuer=issuer,
        discovery_url=discovery_url(issuer, template.allowed_tenants),
        other_issuers=(issuer.partition("://")[2],) if template.other_issuers else (),
    )


def discovery_url(issuer: str, tenants: frozenset[str] = frozenset()) -> str:
    """The address of an issuer's metadata (OpenID Connect Discovery 1.0, 4)."""
    if len(tenants) == 1:
        (chosen,) = tenants
    else:
        chosen = ORGANIZATIONS if tenants and PERSONAL_TENANT not in tenants else "common"
    return issuer.removesuffix("/").replace(TENANT, chosen) + _WELL_KNOWN
