"""Loads identity providers from installed packages.

A package adds a provider with a hook::

    from combine_auth.oidc import Provider, hookimpl

    @hookimpl
    def combine_auth_register_providers(register, settings):
        register(
            Provider(
                name="acme",
                title="Acme",
                issuer="https://id.acme.example",
                discovery_url="https://id.acme.example/.well-known/openid-configuration",
            )
        )

and names the module of the hook in its metadata::

    [project.entry-points."combine.auth_providers"]
    acme = "my_package.provider"

The provider is offered if ``AUTH_PROVIDERS`` names it, and ``ACME_CLIENT_ID`` and ``ACME_CLIENT_SECRET``
are set. A provider with a client ID and secret of its own is always offered.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final

import pluggy
from pyramid.exceptions import ConfigurationError

from combine_auth.openid.identity_provider import IdentityProvider
from combine_auth.settings import SHIPPED

log = logging.getLogger(__name__)

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
