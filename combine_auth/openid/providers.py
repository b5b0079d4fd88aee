"""Loads identity providers from packages, and creates the clients of the configured providers."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pluggy
from pyramid.exceptions import ConfigurationError
from pyramid.registry import Registry

from combine_auth.openid.identity_provider import (
    GOOGLE,
    MICROSOFT,
    IdentityProvider,
    other_provider,
    with_settings,
)
from combine_auth.provider_settings import IdentityProviderSettings
from combine_auth.settings import SHIPPED, AuthSettings

if TYPE_CHECKING:
    from combine_auth.openid.client import OidcClient

log = logging.getLogger(__name__)

REGISTRY_KEY = "combine_auth.providers"
PROJECT: Final = "combine_auth_providers"
ENTRY_POINT_GROUP: Final = "combine.auth_providers"
_BROKEN: Final = (
    "sign-in plugin %s does not load or register: fix or uninstall it, or name it in"
    " combine_auth.disabled_provider_plugins"
)

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def combine_auth_register_providers(
    register: Callable[[IdentityProvider], None], settings: Mapping[str, Any]
) -> None:
    """Register providers. Called once per application during its configuration: do no I/O here.

    :param register: registers an `IdentityProvider`
    :param settings: the application's settings, from its ini file
    """


def load_plugins(
    settings: Mapping[str, Any], disabled: Iterable[str] = ()
) -> dict[str, IdentityProvider]:
    """Return the providers of all installed plugins, by name. A broken plugin is logged and skipped.

    :param settings: the application's settings, from its ini file
    :param disabled: names of plugins that are not loaded
    :raises ConfigurationError: a plugin implements a hook that does not exist
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(sys.modules[__name__])
    skipped = set(disabled)
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda one: one.name):
        if point.name in skipped:
            continue
        try:
            manager.register(point.load(), point.name)
        except (Exception, SystemExit):
            log.exception(_BROKEN, point.name)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise ConfigurationError(
            f"sign-in plugin {manager.get_name(error.plugin)}: {error}. To disable it, name it in"
            " combine_auth.disabled_provider_plugins"
        ) from error
    return _call_plugins(manager, settings)


def _call_plugins(
    manager: pluggy.PluginManager, settings: Mapping[str, Any]
) -> dict[str, IdentityProvider]:
    found: dict[str, IdentityProvider] = {}

    def register(provider: IdentityProvider) -> None:
        if not isinstance(provider, IdentityProvider):
            raise TypeError(f"a plugin must register a Provider, not {type(provider).__name__}")
        if provider.name in found or provider.name in SHIPPED:
            raise ValueError(f"two providers have the name {provider.name}: rename one")
        found[provider.name] = provider

    # One plugin at a time: pluggy ends a call at the first exception.
    for name, plugin in manager.list_name_plugin():
        others = [one for one in manager.get_plugins() if one is not plugin]
        call = manager.subset_hook_caller("combine_auth_register_providers", others)
        before = dict(found)
        try:
            call(register=register, settings=settings)
        except (Exception, SystemExit):
            found = before
            log.exception(_BROKEN, name)
    return found


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
        missing = "" if template and template.client_id else _missing_variables(name, configured)
        faults = "; ".join([*map(str, configured.faults), *_key_faults(name, configured)])
        if faults:
            faulty[name] = faults
        elif missing:
            unset[name] = missing
        elif template is None:
            faulty[name] = f"{name.upper()}_ISSUER is not set: write the issuer of {name}"
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


def _missing_variables(name: str, configured: IdentityProviderSettings) -> str:
    """Return the variables to set if the client ID or the secret is missing; otherwise empty."""
    if configured.client_id and (configured.client_secret or configured.client_key_file):
        return ""
    prefix = name.upper()
    return f"{prefix}_CLIENT_ID and {prefix}_CLIENT_SECRET are not set: set both"


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
