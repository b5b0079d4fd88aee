"""OpenID Connect: identity providers, a client for each, and the verification of ID tokens.

It uses neither sessions nor tables. :func:`identity_providers` returns the clients of an application.
:mod:`combine_auth.oidc` explains how a package adds a provider. The client
(:mod:`combine_auth.openid.client`) takes 20 MB, so it is imported only if a provider is configured.
"""

from __future__ import annotations

from pyramid.config import Configurator

from combine_auth.openid.identity_provider import IdentityProvider, redirect_uri
from combine_auth.openid.providers import (
    REGISTRY_KEY,
    hookimpl,
    identity_providers,
    make_identity_providers,
)
from combine_auth.settings import AuthSettings

__all__ = [
    "IdentityProvider",
    "hookimpl",
    "identity_providers",
    "redirect_uri",
]


def includeme(config: Configurator) -> None:
    """Create the clients of the application's identity providers, without network access."""
    settings = config.add_addon_settings(AuthSettings)
    providers = make_identity_providers(settings, config.registry.settings)
    config.registry[REGISTRY_KEY] = providers
    for name, client in providers.clients.items():
        intr = config.introspectable("combine sign-in", name, client.provider.title, "provider")
        intr["issuer"] = client.provider.issuer
        config.action(("combine sign-in", name), introspectables=(intr,))
