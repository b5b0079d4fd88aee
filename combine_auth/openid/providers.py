"""Creates the clients of the configured identity providers, and explains why others are hidden."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pyramid.registry import Registry

from combine_auth.openid.identity_provider import (
    GOOGLE,
    MICROSOFT,
    IdentityProvider,
    other_provider,
    with_settings,
)
from combine_auth.openid.plugins import load_plugins
from combine_auth.provider_settings import IdentityProviderSettings
from combine_auth.settings import AuthSettings

if TYPE_CHECKING:
    from combine_auth.openid.client import OidcClient

log = logging.getLogger(__name__)

REGISTRY_KEY = "combine_auth.providers"


@dataclass(frozen=True)
class IdentityProviders:
    """The identity providers of an application.

    :ivar clients: the clients by name, in the order of their buttons
    :ivar hidden: the reason why a provider is not offered, by name, with the variable to set
    :ivar faulty: the hidden providers with wrong settings, or that the operator has named
    """

    clients: Mapping[str, OidcClient]
    hidden: Mapping[str, str]
    faulty: frozenset[str] = frozenset()


def identity_providers(registry: Registry) -> IdentityProviders:
    providers: IdentityProviders = registry[REGISTRY_KEY]
    return providers


def make_identity_providers(settings: AuthSettings, ini: Mapping[str, Any]) -> IdentityProviders:
    """Create the clients of all providers that the settings and the plugins name.

    Reads the files of private keys, but does not use the network. A provider that lacks a setting is
    hidden and logged.

    :param ini: the application's settings, for plugins
    """
    templates = {GOOGLE.name: GOOGLE, MICROSOFT.name: MICROSOFT}
    templates |= load_plugins(ini, settings.disabled_provider_plugins)
    clients: dict[str, OidcClient] = {}
    unset: dict[str, str] = {}
    faulty: dict[str, str] = {}
    for name in settings.auth_providers:
        configured = settings.of_provider(name)
        template = templates.pop(name, None)
        if template is None and configured.issuer is not None:
            template = other_provider(name, configured.issuer)
        # A plugin's provider with a client ID of its own needs no variables.
        missing = "" if template and template.client_id else _missing_variables(configured)
        faults = "; ".join([*map(str, configured.faults), *_key_faults(name, configured)])
        if faults:
            faulty[name] = faults
        elif missing:
            unset[name] = missing
        elif template is None:
            faulty[name] = f"{configured.issuer_variable} is not set: write the issuer of {name}"
        else:
            clients[name] = _client_of(with_settings(template, configured, settings), settings)
    for name, template in templates.items():
        if template.client_id:
            clients[name] = _client_of(template, settings)
    if "auth_providers" in settings.model_fields_set:
        # The operator has named these providers, so a missing setting is a fault.
        faulty, unset = {**unset, **faulty}, {}
    _log(clients, unset, faulty)
    hidden = MappingProxyType({**unset, **faulty})
    return IdentityProviders(MappingProxyType(clients), hidden, frozenset(faulty))


def _client_of(provider: IdentityProvider, settings: AuthSettings) -> OidcClient:
    # Imported here because it takes 20 MB, which a process without a provider does not need.
    from combine_auth.openid.client import OidcClient

    return OidcClient(provider, ca_file=settings.ca_file)


def _missing_variables(configured: IdentityProviderSettings) -> str:
    """Return the variables to set if the client ID or the secret is missing; otherwise empty."""
    if configured.client_id and (configured.client_secret or configured.client_key_file):
        return ""
    return f"{configured.client_id_variable} and {configured.client_secret_variable} are not set: set both"


def _key_faults(name: str, configured: IdentityProviderSettings) -> list[str]:
    """Return the reason why the file with the private key is not usable, if there is one."""
    if configured.client_key_file is None:
        return []
    # Imported here for the same reason.
    from combine_auth.openid.client_key import UnusableKey, read_client_key

    try:
        read_client_key(configured.client_key_file)
    except UnusableKey as problem:
        remedy = (
            "write the path of a JWK or PEM file with the private key, readable by this service"
        )
        return [f"{name.upper()}_CLIENT_KEY_FILE {problem}: {remedy}"]
    return []


def _log(
    clients: Mapping[str, OidcClient], unset: Mapping[str, str], faulty: Mapping[str, str]
) -> None:
    if faulty:
        listed = "; ".join(f"{name} ({why})" for name, why in faulty.items())
        log.warning("sign-in: hidden until its settings are corrected: %s", listed)
    if unset:
        listed = "; ".join(f"{name} ({why})" for name, why in unset.items())
        log.info("sign-in: not configured: %s", listed)
    if clients:
        log.info("sign-in: offered: %s", ", ".join(clients))
