"""OpenID Connect: identity providers as data, a client for each, and verified ID tokens.

Uses neither sessions nor tables. :func:`identity_providers` returns the clients of an application;
:mod:`combine_auth.openid.plugins` says how a package adds a provider. The client
(:mod:`combine_auth.openid.client`) is loaded if there is a provider: without one, a process saves 20 MB.
"""

from __future__ import annotations

from pyramid.config import Configurator

from combine_auth.openid.identity_provider import IdentityProvider, redirect_uri
from combine_auth.openid.plugins import hookimpl
from combine_auth.openid.providers import (
    REGISTRY_KEY,
    IdentityProviders,
    identity_providers,
    make_identity_providers,
)
from combine_auth.settings import AuthSettings

__all__ = [
    "IdentityProvider",
    "IdentityProviders",
    "hookimpl",
    "identity_providers",
    "redirect_uri",
]


def includeme(config: Configurator) -> None:
    """Make the clients of the application's identity providers. Asks no provider."""
    settings = config.add_addon_settings(AuthSettings)
    providers = make_identity_providers(settings, config.registry.settings)
    config.registry[REGISTRY_KEY] = providers
    for name, client in providers.clients.items():
        intr = config.introspectable("combine sign-in", name, client.provider.title, "provider")
        intr["issuer"] = client.provider.issuer
        config.action(("combine sign-in", name), introspectables=(intr,))
