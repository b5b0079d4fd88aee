"""OpenID Connect: providers as data, one client for each, ID tokens verified.

Knows of no session and no table. :func:`providers_of` gives the clients of an application;
:mod:`combine_auth.openid.hookspecs` says how a package adds a provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_auth.openid.client import OidcClient
from combine_auth.openid.failures import refused
from combine_auth.openid.hookspecs import hookimpl
from combine_auth.openid.provider import Claims, Provider, redirect_uri
from combine_auth.openid.providers import KEY, Providers, make_providers, providers_of
from combine_auth.settings import AuthSettings

if TYPE_CHECKING:
    from pyramid.config import Configurator

__all__ = [
    "Claims",
    "OidcClient",
    "Provider",
    "Providers",
    "hookimpl",
    "providers_of",
    "redirect_uri",
    "refused",
]


def includeme(config: Configurator) -> None:
    """Make the clients of the application's providers. Asks none of them anything."""
    settings = config.add_addon_settings(AuthSettings)
    providers = make_providers(settings, config.registry.settings)
    config.registry[KEY] = providers
    for name, client in providers.clients.items():
        intr = config.introspectable("combine sign-in", name, client.provider.title, "provider")
        intr["issuer"] = client.provider.issuer
        config.action(("combine sign-in", name), introspectables=(intr,))
