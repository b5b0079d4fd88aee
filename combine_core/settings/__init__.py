"""Settings of add-ons, which are declared once, read once at start, and validated together.

An add-on declares its settings in its ``settings.py``::

    class MailSettings(AddonSettings):
        addon = "combine_mail"
        host: Annotated[str, parsed(one_word)] = setting("localhost", help="The SMTP server.")

It registers the class in the entry-point group "combine.settings" under the name of the add-on, and gets the
values in its includeme::

    config.include("combine_core.settings")
    settings = config.add_addon_settings(MailSettings)

(Pyramid's ``config.add_settings`` is for untyped settings.) The value of ``host`` is that of
``COMBINE_MAIL_HOST`` in the environment, else in the ``.env`` beside the ini file, else of
``combine_mail.host`` in ``[app:main]``, else the default. With ``variable="MAIL_HOST"``, that variable takes
precedence. An empty variable counts as not set. Parsers are in :mod:`combine_core.settings.values`.

The application calls :func:`load_all` before it builds its Configurator, and passes the result in
``Configurator(settings={**ini, SETTINGS_KEY: loaded})``. Without that, each ``add_addon_settings`` loads
its own class. :func:`settings_of` returns the settings later.

The modules, from the bottom up: ``declaration`` (settings and their problems), ``values`` and
``database_url`` (parsers), ``core`` (the settings of combine_core), ``sources`` (environment, ``.env``, ini),
``loaded`` (the result), ``addons`` (the add-ons and the names of all settings), ``load`` (the loader).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from combine_core.settings.core import CoreSettings
from combine_core.settings.declaration import (
    DEPLOYED,
    EVERYWHERE,
    NOT_DEVELOPMENT,
    NOWHERE,
    AddonSettings,
    ConfigurationEnvironmentError,
    Environment,
    Finding,
    Given,
    Kind,
    Place,
    Problem,
    Setting,
    Unusable,
    parsed,
    setting,
)
from combine_core.settings.load import Outcome, check_all, load_all
from combine_core.settings.loaded import LoadedSettings, Row

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry

__all__ = [
    "DEPLOYED",
    "EVERYWHERE",
    "NOT_DEVELOPMENT",
    "NOWHERE",
    "SETTINGS_KEY",
    "AddonSettings",
    "ConfigurationEnvironmentError",
    "CoreSettings",
    "Environment",
    "Finding",
    "Given",
    "Kind",
    "LoadedSettings",
    "Outcome",
    "Place",
    "Problem",
    "Row",
    "Setting",
    "Unusable",
    "check_all",
    "includeme",
    "load_all",
    "load_into",
    "parsed",
    "setting",
    "settings_of",
]

# The key of the LoadedSettings in the Configurator's settings and in the registry.
SETTINGS_KEY = "combine.settings"
_INTROSPECTED = "combine.settings.introspected"

S = TypeVar("S", bound=AddonSettings)


def settings_of(registry: Registry, cls: type[S]) -> S:
    """Return the settings of the add-on that declares `cls`.

    :raises LookupError: no include has loaded them yet
    """
    loaded: LoadedSettings | None = registry.get(SETTINGS_KEY)
    if loaded is None:
        raise LookupError(
            'The settings are not loaded yet. Call config.include("combine_core.settings") first.'
        )
    return loaded.get(cls)


def load_into(registry: Registry, cls: type[AddonSettings]) -> LoadedSettings:
    """Return all settings of the application. Load those of `cls` first if they are not loaded yet."""
    loaded: LoadedSettings | None = registry.get(SETTINGS_KEY)
    if loaded is None or cls not in loaded:
        ini = registry.settings
        path = ini.get("__file__")
        alone = load_all(ini, Path(path) if path else None, os.environ, [cls])
        loaded = loaded.joined(alone) if loaded else alone
        registry[SETTINGS_KEY] = loaded
    return loaded


def add_addon_settings(config: Configurator, cls: type[S]) -> S:
    """Return the settings of the add-on that declares `cls`, one instance per application. Directive.

    :raises ConfigurationEnvironmentError: the settings had to be loaded, and are not valid
    """
    registry = config.registry
    loaded = load_into(registry, cls)
    introspected: set[type[AddonSettings]] = registry.setdefault(_INTROSPECTED, set())
    if cls not in introspected:
        introspected.add(cls)
        intr = config.introspectable(
            "combine settings", cls.addon, cls.addon, "settings of an add-on"
        )
        for row in loaded.rows():
            if row.addon == cls.addon:
                intr[row.variable] = f"{row.value_shown} ({row.source})"
        config.action(("combine settings", cls.addon), introspectables=(intr,))
    return loaded.get(cls)


def includeme(config: Configurator) -> None:
    """Add the directive ``add_addon_settings``, and use the settings that the application has loaded."""
    loaded = config.registry.settings.get(SETTINGS_KEY)
    if loaded is not None:
        config.registry.setdefault(SETTINGS_KEY, loaded)
    config.add_directive("add_addon_settings", add_addon_settings)
