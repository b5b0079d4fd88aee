"""Google, Microsoft, and any other OpenID provider: what is set for a name, as a provider."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from combine_auth.openid.provider import PERSONAL_TENANT, TENANT, Provider
from combine_auth.setting_values import ORGANIZATIONS
from combine_auth.settings import AuthSettings, ProviderSettings

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
# Several accounts in one browser are common; asked for none, the provider takes one by itself.
_CHOOSE: Final = {"prompt": "select_account"}

GOOGLE: Final = Provider(
    name="google",
    title="Google",
    issuer="https://accounts.google.com",
    discovery_url=f"https://accounts.google.com{_WELL_KNOWN}",
    other_issuers=("accounts.google.com",),
    extra_parameters=_CHOOSE,
    console="Google Cloud console, APIs & Services, Credentials, OAuth 2.0 Client IDs",
)
MICROSOFT: Final = Provider(
    name="microsoft",
    title="Microsoft",
    issuer=f"https://login.microsoftonline.com/{TENANT}/v2.0",
    discovery_url=f"https://login.microsoftonline.com/common/v2.0{_WELL_KNOWN}",
    extra_parameters=_CHOOSE,
    # A tenant's administrator may write any address into `email`; this optional claim says that its
    # owner was asked.
    email_verified_claim="xms_edov",
    email_verified_values=(True, 1, "1", "true"),
    console="Azure portal, Microsoft Entra ID, App registrations, Authentication",
)


def at(template: Provider, issuer: str) -> Provider:
    """The same provider at another issuer."""
    if template.name == MICROSOFT.name:
        # As Microsoft's own pages write it, although no token says so.
        issuer = re.sub("/(common|organizations|consumers)/", f"/{TENANT}/", issuer, count=1)
    bare = issuer.partition("://")[2]
    return replace(
        template,
        issuer=issuer,
        discovery_url=discovery_url(issuer, template.allowed_tenants),
        other_issuers=(bare,) if template.other_issuers else (),
    )


def discovery_url(issuer: str, tenants: frozenset[str] = frozenset()) -> str:
    """Where the metadata of an issuer are (OpenID Connect Discovery 1.0, 4)."""
    if len(tenants) == 1:
        (chosen,) = tenants
    else:
        chosen = ORGANIZATIONS if tenants and PERSONAL_TENANT not in tenants else "common"
    return issuer.removesuffix("/").replace(TENANT, chosen) + _WELL_KNOWN


def set_up(template: Provider, given: ProviderSettings, settings: AuthSettings) -> Provider:
    """The provider as the settings have it: with the service's registration, and whom it lets in."""
    provider = replace(
        template,
        title=given.title or template.title,
        client_id=given.client_id or template.client_id,
        client_secret=given.client_secret or template.client_secret,
        scopes=given.scopes or template.scopes,
        allowed_email_domains=frozenset(given.email_domains) or template.allowed_email_domains,
    )
    if template.name == GOOGLE.name:
        hosted = frozenset(settings.google_hosted_domains)
        # A hint for Google's page; what counts is the claim.
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
    return provider if given.issuer is None else at(provider, given.issuer)


def of_ones_own(name: str, issuer: str) -> Provider:
    """Any other OpenID provider."""
    return Provider(
        name=name,
        title=name.replace("_", " ").title(),
        issuer=issuer,
        discovery_url=discovery_url(issuer),
    )
