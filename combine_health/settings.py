"""Reads the add-on's settings. The environment takes precedence over the ini file."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from combine_health.checks import configured
from combine_health.declarations import (
    CHECK,
    GROUP,
    OWN,
    PER_CHECK,
    PREFIX,
    SERVER_OWN,
    VARIABLE_PREFIX,
    DeclaredSetting,
    HealthSettings,
    check_setting,
    group_setting,
    to_variable,
)
from combine_health.engine.check import NAME
from combine_health.options import MASK
from combine_health.plugin_settings import declared_by_installed

if TYPE_CHECKING:
    from combine_health.environment_error import HealthEnvironmentError

__all__ = [
    "DeclaredSetting",
    "HealthSettings",
    "ResolvedSetting",
    "declared",
    "read_server",
    "read_settings",
    "resolve",
    "to_variable",
    "verify_checks",
]


# The key in the application's settings under which an application that has already called `resolve`
# passes on the result.
RESOLVED = f"{PREFIX}resolved"
ANY = "NAME"


@dataclass(frozen=True, slots=True)
class ResolvedSetting:
    """A setting's value and its source: ``environment``, ``ini`` or ``default``."""

    declared: DeclaredSetting
    value: Any
    source: str
    problem: str | None = None


def declared() -> list[DeclaredSetting]:
    """Return every setting of the add-on. NAME is a placeholder for the name of a check or group."""
    checks = [check_setting("NAME", option) for option in PER_CHECK.values()]
    return [*OWN, *checks, *configured.examples(), group_setting("NAME"), *SERVER_OWN]


def declared_by_plugins(
    ini: Mapping[str, Any], environ: Mapping[str, str]
) -> list[DeclaredSetting]:
    """Return the settings of the installed plugins; see `declared_by_installed`."""
    rows = [resolve_setting(setting, ini, environ) for setting in OWN]
    values = {row.declared.name.removeprefix(PREFIX): row.value for row in rows}
    load = values["load_entry_points"]
    return list(declared_by_installed(values["disabled_plugins"], load_entry_points=load))


def resolve(
    ini: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    server: Mapping[str, Any] | None = None,
) -> list[ResolvedSetting]:
    """Return every setting with its value and source. Settings of single checks and groups need a value.

    ``ini`` is the application's section, and ``server`` is the section ``[server:main]``.
    """
    of_plugins = declared_by_plugins(ini, environ)
    of_plugins = [setting for setting in of_plugins if not setting.name.endswith(ANY)]
    settings = (*OWN, *of_plugins, *_named(ini, environ))
    rows = [resolve_setting(setting, ini, environ) for setting in settings]
    return rows + [resolve_setting(setting, server or {}, environ) for setting in SERVER_OWN]


def read_settings(
    ini: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> HealthSettings:
    """Return the settings as one frozen object.

    Raises `HealthEnvironmentError` with every invalid value and, if there is one, every unknown name.
    Unknown names alone are left to `verify_names`, because plugins added later may declare them.
    """
    rows = ini.get(RESOLVED) or resolve(ini, environ)
    problems = [row.problem for row in rows if row.problem]
    if problems:
        raise _error_class().of(problems + _unknown(ini, environ, ()))
    values = {row.declared.name: row.value for row in rows}
    per_check_values = {_check_and_setting(k): v for k, v in values.items() if k.startswith(CHECK)}
    return HealthSettings(
        **{setting.name.removeprefix(PREFIX): values[setting.name] for setting in OWN},
        overrides={
            (to_variable(name), setting): value
            for (name, setting), value in per_check_values.items()
            if setting in PER_CHECK
        },
        built_in={
            name: {
                setting: value
                for (check, setting), value in per_check_values.items()
                if check == name and setting not in PER_CHECK and value is not None
            }
            for name in configured.uses(ini, environ)
        },
        groups={key.removeprefix(GROUP): v for key, v in values.items() if key.startswith(GROUP)},
    )


def verify_names(
    ini: Mapping[str, Any],
    of_plugins: Iterable[DeclaredSetting],
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Raise `HealthEnvironmentError` if a name ``combine_health.*`` is not a setting."""
    if problems := _unknown(ini, environ, of_plugins):
        raise _error_class().of(problems)


def _error_class() -> type[HealthEnvironmentError]:
    # Imported late because the error loads Pyramid, which commands that only read settings do not need.
    from combine_health.environment_error import HealthEnvironmentError

    return HealthEnvironmentError


def verify_checks(settings: HealthSettings, known: Collection[str]) -> None:
    """Raise `HealthEnvironmentError` if the settings name a check that is not among ``known``."""
    unknown = [
        f"combine_health.disabled names {name!r}" for name in settings.disabled if name not in known
    ]
    unknown += [
        f"combine_health.check.{name.lower()}.{setting} is set"
        for name, setting in settings.overrides
        if name not in set(map(to_variable, known))
    ]
    unknown += [
        f"combine_health.group.{group} names {name!r}"
        for group, members in settings.groups.items()
        for name in members
        if name not in known
    ]
    if unknown:
        raise _error_class()(
            f"{'; '.join(unknown)}: there is no such health check. Known: "
            + (", ".join(sorted(known)) or "none")
        )


def read_server(ini: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the settings of the section ``[server:main]`` by name.

    Raises `HealthEnvironmentError` with every invalid value.
    """
    rows = [resolve_setting(setting, ini, environ) for setting in SERVER_OWN]
    problems = [row.problem for row in rows if row.problem]
    if problems:
        raise _error_class()("\n  ".join(problems))
    return {row.declared.name: row.value for row in rows}


def resolve_setting(
    setting: DeclaredSetting, ini: Mapping[str, Any], environ: Mapping[str, str]
) -> ResolvedSetting:
    raw, source, where = None, "default", ""
    for variable in (setting.variable, *setting.also):
        if environ.get(variable, "").strip():
            raw, source, where = environ[variable], "environment", variable
            break
    else:
        if setting.name in ini:
            raw, source, where = ini[setting.name], "ini", setting.name
    if raw is None or (setting.default is None and not _as_text(raw).strip()):
        return ResolvedSetting(setting, setting.default, "default")
    try:
        value = setting.read(_as_text(raw))
    except ValueError as error:
        # The parser of a plugin may repeat the value in its message; ours do not.
        if setting.secret and setting not in OWN and _as_text(raw).strip() in str(error):
            error = ValueError("this value is invalid")
        shown = MASK if setting.secret else repr(_as_text(raw))
        return ResolvedSetting(setting, setting.default, source, f"{where} is {shown}: {error}")
    return ResolvedSetting(setting, value, source)


def _as_text(raw: Any) -> str:
    """Convert a setting that was set in Python into the text that an ini file would contain."""
    return " ".join(map(str, raw)) if isinstance(raw, list | tuple) else str(raw)


_VARIABLE_OF_CHECK = re.compile(
    rf"{VARIABLE_PREFIX}CHECK_(?P<name>[A-Z0-9_]+)_(?P<setting>{'|'.join(PER_CHECK).upper()})"
)


# Kubernetes sets these variables in every pod if a service is called combine-health.
_OF_KUBERNETES = re.compile(rf"{VARIABLE_PREFIX}(SERVICE_(HOST|PORT)|PORT$|PORT_\d)")


_VARIABLE_OF_GROUP = re.compile(rf"{VARIABLE_PREFIX}GROUP_(?P<name>[A-Z0-9_]+)")


def _named(ini: Mapping[str, Any], environ: Mapping[str, str]) -> list[DeclaredSetting]:
    """Return the settings of single checks and groups that the ini file or the environment contains."""
    found: dict[str, DeclaredSetting] = {}  # by variable, where a-b and a_b are the same
    for key in map(str, ini):
        name, _, option = key.removeprefix(CHECK).rpartition(".")
        if key.startswith(CHECK) and option in PER_CHECK and name:
            setting = check_setting(name, PER_CHECK[option])
            found[setting.variable] = setting
        elif key.startswith(GROUP) and NAME.fullmatch(key.removeprefix(GROUP)):
            setting = group_setting(key.removeprefix(GROUP))
            found[setting.variable] = setting
    for variable in environ:
        if match := _VARIABLE_OF_CHECK.fullmatch(variable):
            setting = check_setting(match["name"].lower(), PER_CHECK[match["setting"].lower()])
            found.setdefault(variable, setting)
        elif match := _VARIABLE_OF_GROUP.fullmatch(variable):
            found.setdefault(variable, group_setting(match["name"].lower()))
    for setting in configured.accepted(ini, environ):
        if setting.name in ini or environ.get(setting.variable, "").strip():
            found[setting.variable] = setting
    return list(found.values())


def _check_and_setting(key: str) -> tuple[str, str]:
    name, _, setting = key.removeprefix(CHECK).rpartition(".")
    return name, setting


def _unknown(
    ini: Mapping[str, Any], environ: Mapping[str, str], of_plugins: Iterable[DeclaredSetting]
) -> list[str]:
    known = [*OWN, *_named(ini, environ), *configured.accepted(ini, environ), *of_plugins]
    known += declared_by_plugins(ini, environ)
    of_unloaded = tuple(
        setting.variable.removesuffix(ANY) for setting in known if setting.name.endswith(ANY)
    )
    names = {setting.name for setting in known}
    variables = {setting.variable for setting in (*known, *SERVER_OWN)}
    problems = [
        _misspelt(str(key), names, PREFIX)
        for key in ini
        if str(key).startswith(PREFIX)
        and str(key) not in {*names, RESOLVED}
        and not to_variable(str(key)).startswith(of_unloaded)
    ]
    problems += [
        _misspelt(variable, variables, VARIABLE_PREFIX)
        for variable in environ
        if variable.startswith(VARIABLE_PREFIX)
        and variable not in variables
        and not variable.startswith(of_unloaded)
        and not _OF_KUBERNETES.match(variable)
    ]
    return problems


def _misspelt(name: str, known: Collection[str], prefix: str) -> str:
    # Compared without the prefix, which would make all names similar.
    rests = [setting.removeprefix(prefix) for setting in known if setting.startswith(prefix)]
    near = get_close_matches(name.removeprefix(prefix), rests, 1, cutoff=0.7)
    if near:
        return f"{name} is not a setting; did you mean {prefix}{near[0]}?"
    return f"{name} is not a setting of combine_health or of an installed plugin; remove it"
