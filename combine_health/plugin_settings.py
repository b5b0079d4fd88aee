"""Collects the settings that plugins declare, such as ``combine_health.smtp_host``."""

import logging
import re
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import entry_points
from typing import Any

import pluggy

from combine_health import hookspecs
from combine_health.declarations import (
    CHECK,
    GROUP,
    OWN,
    PREFIX,
    SERVER_OWN,
    VARIABLE_PREFIX,
    DeclaredSetting,
    to_variable,
)
from combine_health.options import count, flag, names, number

log = logging.getLogger("combine_health")

ENTRY_POINTS = "combine_health"
READERS: dict[Any, Callable[[str], Any]] = {
    str: str.strip,
    int: count,
    float: number,
    bool: flag,
    tuple: names,
}
_NAME = re.compile(r"[a-z][a-z0-9_.]{0,99}")
_TAKEN = {setting.variable for setting in (*OWN, *SERVER_OWN)}


def declared_by(plugin: Any, name: str | None = None) -> list[DeclaredSetting]:
    """Return the settings that ``plugin`` declares in its hook. Exceptions of the hook propagate."""
    found: list[DeclaredSetting] = []

    def declare(
        name: str,
        kind: Any,
        help: str,  # noqa: A002 - plugins pass it by this name
        default: Any = None,
        *,
        secret: bool = False,
    ) -> None:
        found.append(_declaration(name, kind, help, default, secret))

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name)
    manager.hook.combine_health_declare_settings(declare=declare)
    return found


def declared_by_installed(
    disabled: Collection[str], *, load_entry_points: bool
) -> Iterator[DeclaredSetting]:
    """Yield the settings of all installed plugins, except of those that fail to load.

    The settings of a disabled plugin are unknown but stay allowed. One setting stands for all of
    them: its name is the name of the plugin followed by the placeholder NAME.
    """
    for point in entry_points(group=ENTRY_POINTS):
        if not load_entry_points or point.name in disabled:
            name, variable = point.name, to_variable(point.name)
            help_ = f"A setting of the plugin {name}, which is disabled."
            key = f"{PREFIX}{variable.lower()}_NAME"
            yield DeclaredSetting(key, f"{VARIABLE_PREFIX}{variable}_NAME", "", None, help_, str)
            continue
        try:
            yield from declared_by(point.load(), point.name)
        except (Exception, SystemExit):
            log.debug("the plugin %s failed to declare its settings", point.name, exc_info=True)


def _declaration(name: str, kind: Any, help_: str, default: Any, secret: bool) -> DeclaredSetting:
    key, variable = f"{PREFIX}{name}", VARIABLE_PREFIX + to_variable(name)
    if not _NAME.fullmatch(name) or f"{key}.".startswith((CHECK, GROUP)) or variable in _TAKEN:
        raise ValueError(
            f"setting {name!r}: the name is taken, or has characters other than a-z, 0-9, _ and ."
        )
    if not callable(kind):
        raise ValueError(
            f"setting {name!r}: {kind!r} must be str, int, float, bool, tuple or a function"
        )
    read = READERS.get(kind, kind)
    type_name = getattr(kind, "__name__", "value")
    return DeclaredSetting(key, variable, type_name, default, help_, read, secret=secret)
