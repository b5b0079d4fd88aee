"""Loads plugins. A broken plugin becomes a failing check and does not affect the others."""

import logging
import os
import re
from collections import ChainMap
from collections.abc import Callable, MutableMapping, Sequence
from importlib.metadata import entry_points
from typing import Any

import pluggy
from pyramid.exceptions import ConfigurationError

from combine_health import hookspecs
from combine_health.declarations import DeclaredSetting
from combine_health.engine.check import HealthResult
from combine_health.engine.execute import application_registry, describe
from combine_health.engine.listeners import Listener
from combine_health.engine.redaction import Redactor
from combine_health.engine.state import Change, CheckRun
from combine_health.environment_error import HealthEnvironmentError
from combine_health.plugin_settings import ENTRY_POINTS, declared_by
from combine_health.settings import resolve_setting

log = logging.getLogger("combine_health")

LISTENED: tuple[tuple[str, type[Change] | type[CheckRun], str], ...] = (
    ("combine_health_status_changed", Change, "change"),
    ("combine_health_result", CheckRun, "result"),
)


class Plugins:
    """The plugins of one application.

    ``register`` is the directive ``add_health_check``. With it, the checks of plugins have conflict
    detection and are introspectable, and the application can override them.
    """

    def __init__(
        self,
        register: Callable[..., None],
        settings: MutableMapping[str, Any],
        blocked: tuple[str, ...],
        redactor: Redactor,
    ) -> None:
        self._register = register
        self._redactor = redactor
        self._settings = settings
        self._own_settings: dict[str, Any] = {}
        self.declared: list[DeclaredSetting] = []
        """The settings of the plugins."""
        self._broken: set[str] = set()
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for name in blocked:
            self._manager.set_blocked(name)
        # The hook is historic: pluggy calls it for each plugin that is added later.
        self._manager.hook.combine_health_register_checks.call_historic(
            kwargs={"register": register, "settings": ChainMap(self._own_settings, settings)}
        )

    def load_entry_points(self) -> None:
        """Add every installed plugin that is not disabled."""
        for point in entry_points(group=ENTRY_POINTS):
            if self._manager.is_blocked(point.name):
                continue
            try:
                plugin = point.load()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - logged and shown as a check
                self._report_broken(point.name, error)
            else:
                self.add(plugin, point.name)

    def add(self, plugin: Any, name: str | None = None) -> None:
        """Add one plugin: a module or an object with hook implementations.

        Raises `ConfigurationError` if a hook has unknown arguments, or if the name is already added.
        """
        name = name or self._manager.get_canonical_name(plugin)
        if self._manager.has_plugin(name):
            raise ConfigurationError(f"health plugin {name}: there are two plugins of this name")
        try:
            declared = declared_by(plugin, name)
        except pluggy.PluginValidationError as error:
            raise ConfigurationError(f"health plugin {name}: {error}") from error
        except (Exception, SystemExit) as error:  # noqa: BLE001 - logged and shown as a check
            self._report_broken(name, error)
            return
        self._read_settings(declared, name)
        try:
            self._manager.register(plugin, name)
        except (Exception, SystemExit) as error:
            if not self._manager.has_plugin(name):  # pluggy rejected it before it called a hook
                raise ConfigurationError(f"health plugin {name}: {error}") from error
            self._report_broken(name, error)

    def _read_settings(self, declared: Sequence[DeclaredSetting], name: str) -> None:
        taken = {setting.variable for setting in self.declared}
        for setting in declared:
            if setting.variable in taken:
                raise ConfigurationError(
                    f"health plugin {name}: another plugin also declares the setting {setting.name}; add one"
                    " of them to combine_health.disabled_plugins"
                )
        rows = [resolve_setting(setting, self._settings, os.environ) for setting in declared]
        if problems := [row.problem for row in rows if row.problem]:
            raise HealthEnvironmentError.of(problems)
        self.declared += declared
        for row in rows:
            self._own_settings[row.declared.name] = row.value
            if row.declared.secret and isinstance(row.value, str):
                self._redactor.add(row.value)

    def verify(self) -> None:
        """Raise `ConfigurationError` if a plugin implements a hook that does not exist."""
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            name = self._manager.get_name(error.plugin)
            raise ConfigurationError(
                f"health plugin {name}: {error}. The hooks are: {', '.join(_hooks())}."
                " To disable the plugin, add it to combine_health.disabled_plugins"
            ) from error

    def listeners(self, registry: Any) -> list[Listener]:
        """Return one listener per plugin and hook, because a slow plugin must not delay the others."""
        found = []
        for hook, event, argument in LISTENED:
            hookimpls = getattr(self._manager.hook, hook).get_hookimpls()
            for plugin in dict.fromkeys(hookimpl.plugin for hookimpl in hookimpls):
                others = [other for other in self._manager.get_plugins() if other is not plugin]
                call = self._manager.subset_hook_caller(hook, others)
                name = f"{self._manager.get_name(plugin)} ({hook})"
                found.append(Listener(name, event, _by_name(call, argument, registry)))
        return found

    def _report_broken(self, plugin: str, error: BaseException) -> None:
        stem = name = "plugin-" + re.sub(r"[^a-z0-9_-]", "-", plugin.lower())[:50]
        while name in self._broken:
            name = f"{stem}-{len(self._broken) + 1}"
        self._broken.add(name)
        detail = self._redactor.text(describe(error))
        log.error("health plugin %s failed to load or register: %s", plugin, detail)
        result = HealthResult.failing("plugin_broken", detail)
        self._register(
            name,
            lambda _registry: result,
            critical=False,  # the service works; only a part of its monitoring is missing
            remedy=f"Repair or uninstall the plugin {plugin}, or add it to"
            " combine_health.disabled_plugins.",
        )


def _by_name(call: Callable[..., object], argument: str, registry: Any) -> Callable[[Any], object]:
    def deliver(event: Any) -> None:
        with application_registry(registry):
            call(**{argument: event})

    return deliver


def _hooks() -> list[str]:
    return [name for name in vars(hookspecs) if name.startswith("combine_health_")]
