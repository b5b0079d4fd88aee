"""Providers that installed packages bring; one that is broken hides no other."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final

import pluggy
from pyramid.exceptions import ConfigurationError

from combine_auth.openid import hookspecs
from combine_auth.openid.provider import Provider
from combine_auth.settings import SHIPPED

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP: Final = "combine.auth_providers"
_BROKEN: Final = (
    "sign-in plugin %s does not load or register: mend or uninstall it, or name it in"
    " combine_auth.disabled_provider_plugins"
)


def registered(settings: Mapping[str, Any], disabled: Iterable[str] = ()) -> dict[str, Provider]:
    """The providers of all installed plugins, by name.

    :param settings: those of the application, from its ini file
    :param disabled: names of plugins that are not loaded
    :raises ConfigurationError: a plugin implements a hook that does not exist
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
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
        message = (
            f"sign-in plugin {manager.get_name(error.plugin)}: {error}. To do without it, name it in"
            " combine_auth.disabled_provider_plugins"
        )
        raise ConfigurationError(message) from error
    return _collected(manager, settings)


def _collected(manager: pluggy.PluginManager, settings: Mapping[str, Any]) -> dict[str, Provider]:
    found: dict[str, Provider] = {}

    def register(provider: Provider) -> None:
        """Take a provider in. Raises ValueError where its name is taken."""
        if not isinstance(provider, Provider):
            raise TypeError(f"a plugin registers a Provider, not {type(provider).__name__}")
        if provider.name in found or provider.name in SHIPPED:
            raise ValueError(f"two providers are called {provider.name}")
        found[provider.name] = provider

    # One at a time: pluggy ends a call at the first exception.
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
