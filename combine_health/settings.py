"""The add-on's settings: declared once, read once. The environment wins over the ini file."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any

from pyramid.exceptions import ConfigurationError

from .maintenance import default_file

PREFIX = "combine_health."
VARIABLE_PREFIX = "COMBINE_HEALTH_"
SERVER = "server:main"
DETAILS = ("never", "local", "authorized", "always")

_TRUE = {"true", "yes", "on", "1", "t", "y"}
_FALSE = {"false", "no", "off", "0", "f", "n"}


class HealthEnvironmentError(ConfigurationError):  # type: ignore[misc]  # Pyramid has no types
    """Settings of combine_health that cannot be used; the message names every one of them."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One setting: where it is written, what it takes, and why one would."""

    name: str  # the ini key
    variable: str
    type: str  # how the type is shown in tables
    default: Any
    help: str
    read: Callable[[str], Any]
    section: str = "app:main"  # of the ini file
    also: tuple[str, ...] = ()  # further variables, asked after ``variable``


@dataclass(frozen=True, slots=True)
class Resolved:
    """A setting's value and its source: ``environment``, ``ini`` or ``default``."""

    declared: Declared
    value: Any
    source: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """The settings of one application, typed."""

    details: str = "local"
    background: bool = True
    disabled: tuple[str, ...] = ()
    disabled_plugins: tuple[str, ...] = ()
    load_entry_points: bool = True
    version: str | None = None
    environment: str | None = None
    maintenance_file: Path = field(default_factory=default_file)
    saturated_after: float = 60.0
    stuck_after: float = 600.0
    overrides: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    """What ``combine_health.check.NAME.timeout`` and such say, by ``(NAME, "timeout")``."""

    def overrides_of(self, name: str) -> dict[str, Any]:
        """The overrides for the check ``name``: timeout, interval, fall, rise, critical."""
        return {
            setting: value
            for (check, setting), value in self.overrides.items()
            if check == in_variable(name)
        }


def _flag(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError("write true or false")
    return word in _TRUE


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("write a number of seconds, such as 2 or 0.5") from None


def _wait(text: str) -> float:
    seconds = _seconds(text)
    if not (isfinite(seconds) and seconds > 0):
        raise ValueError("write a number of seconds above 0")
    return seconds


def _file(text: str) -> Path:
    path = Path(text.strip()).expanduser()
    if not path.is_absolute():
        raise ValueError("write an absolute path")
    return path


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("write a whole number") from None


def _details(text: str) -> str:
    word = text.strip().lower()
    if word not in DETAILS:
        raise ValueError(f"write one of {', '.join(DETAILS)}")
    return word


def in_variable(name: str) -> str:
    """``name`` as it stands in the name of an environment variable."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _own(
    name: str,
    type_: str,
    default: Any,
    read: Callable[[str], Any],
    help_: str,
    also: tuple[str, ...] = (),
) -> Declared:
    variable = VARIABLE_PREFIX + name.upper()
    return Declared(PREFIX + name, variable, type_, default, help_, read, also=also)


_OWN = (
    _own(
        "details",
        "never|local|authorized|always",
        "local",
        _details,
        "Who sees more than names and statuses at /health/detailed: nobody; clients on loopback or"
        " a private address; those with the permission health:details; everybody.",
    ),
    _own(
        "background",
        "bool",
        True,
        _flag,
        "Run the checks in the background. false runs them at the request, for tests and tiny"
        " applications.",
    ),
    _own("disabled", "names", (), _names, "Checks that are not run."),
    _own("disabled_plugins", "names", (), _names, "Plugins that are not loaded."),
    _own(
        "load_entry_points",
        "bool",
        True,
        _flag,
        "Load the installed plugins of the entry-point group combine_health.",
    ),
    _own("version", "str", None, str.strip, "What /health/detailed shows as the version."),
    _own(
        "environment",
        "str",
        None,
        str.strip,
        "What /health/detailed shows as the environment.",
        also=("ENVIRONMENT",),
    ),
    _own(
        "maintenance_file",
        "path",
        default_file(),
        _file,
        "The file that puts the service into maintenance. All processes that share it obey it; two"
        " applications on one machine need one each.",
    ),
    _own(
        "saturated_after",
        "seconds",
        60.0,
        _wait,
        "Not ready once all worker threads of the server have been busy, with requests waiting, for"
        " so long.",
    ),
    _own(
        "stuck_after",
        "seconds",
        600.0,
        _wait,
        "Not alive once requests wait and no worker thread has finished one for so long.",
    ),
)

_PER_CHECK: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "timeout": ("seconds", _seconds, "Time after which a run counts as failed."),
    "interval": ("seconds", _seconds, "Time from one run to the next."),
    "fall": ("int", _count, "Failures in a row that make the check failing."),
    "rise": ("int", _count, "Passes in a row that make a failing check healthy."),
    "critical": ("bool", _flag, "Whether the check decides readiness."),
}


def _text(text: str) -> str:
    return text.strip()


_SERVER = (
    Declared(
        "listen",
        "LISTEN",
        "host[:port] ...",
        "127.0.0.1:8000",
        "Addresses that the server listens on.",
        _text,
        SERVER,
    ),
    Declared(
        "port",
        "PORT",
        "int",
        8000,
        "Port that the server listens on, wherever LISTEN names none.",
        _text,
        SERVER,
    ),
)


def _per_check(name: str, setting: str) -> Declared:
    type_, read, help_ = _PER_CHECK[setting]
    variable = f"{VARIABLE_PREFIX}CHECK_{in_variable(name)}_{setting.upper()}"
    key = f"{PREFIX}check.{name}.{setting}"
    return Declared(key, variable, type_, None, help_, read)


def declared() -> list[Declared]:
    """Every setting of the add-on; those per check stand with NAME in place of the check's name."""
    return [*_OWN, *(_per_check("NAME", setting) for setting in _PER_CHECK), *_SERVER]


def resolve(
    ini: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    server: Mapping[str, Any] | None = None,
) -> list[Resolved]:
    """Every setting with its value and where that came from; per-check settings only where set.

    ``ini`` is the application's section, ``server`` the section ``[server:main]``.
    """
    environ = os.environ if environ is None else environ
    rows = [_resolve(one, ini, environ) for one in _OWN]
    rows += [_resolve(one, ini, environ) for one in _set_per_check(ini, environ)]
    rows += [_resolve(one, server or {}, environ) for one in _SERVER]
    return rows


def read_settings(
    ini: Mapping[str, Any], environ: Mapping[str, str] | None = None
) -> HealthSettings:
    """The settings as one frozen object.

    Raises `HealthEnvironmentError` naming every value that cannot be used and every name of
    ``combine_health.*`` or ``COMBINE_HEALTH_*`` that is not a setting.
    """
    environ = os.environ if environ is None else environ
    rows = resolve(ini, environ)
    problems = [row.problem for row in rows if row.problem] + _unknown(ini, environ)
    if problems:
        raise HealthEnvironmentError("combine_health cannot start:\n  " + "\n  ".join(problems))
    values = {row.declared.name: row.value for row in rows}
    overrides = {
        _override_key(row.declared): row.value
        for row in rows
        if row.declared.name.startswith(f"{PREFIX}check.")
    }
    own = {one.name.removeprefix(PREFIX): values[one.name] for one in _OWN}
    return HealthSettings(**own, overrides=overrides)


def _resolve(one: Declared, ini: Mapping[str, Any], environ: Mapping[str, str]) -> Resolved:
    given, source, where = None, "default", ""
    for variable in (one.variable, *one.also):
        if environ.get(variable, "").strip():
            given, source, where = environ[variable], "environment", variable
            break
    else:
        if one.name in ini:
            given, source, where = ini[one.name], "ini", one.name
    if given is None:
        return Resolved(one, one.default, "default")
    try:
        value = one.read(_as_text(given))
    except ValueError as error:
        return Resolved(one, one.default, source, f"{where} is {_as_text(given)!r}: {error}")
    return Resolved(one, value, source)


def _as_text(given: Any) -> str:
    """Settings given in Python may be typed already: read them as the ini would have them."""
    return " ".join(map(str, given)) if isinstance(given, list | tuple) else str(given)


_VARIABLE_OF_CHECK = re.compile(
    rf"{VARIABLE_PREFIX}CHECK_(?P<name>[A-Z0-9_]+)_(?P<setting>{'|'.join(_PER_CHECK).upper()})"
)


# Kubernetes gives every pod such variables for a service that is called combine-health.
_OF_KUBERNETES = re.compile(rf"{VARIABLE_PREFIX}(SERVICE_(HOST|PORT)|PORT$|PORT_\d)")


def _set_per_check(ini: Mapping[str, Any], environ: Mapping[str, str]) -> list[Declared]:
    found: dict[tuple[str, str], Declared] = {}
    for key in ini:
        name, _, setting = str(key).removeprefix(f"{PREFIX}check.").rpartition(".")
        if str(key).startswith(f"{PREFIX}check.") and setting in _PER_CHECK and name:
            found[in_variable(name), setting] = _per_check(name, setting)
    for variable in environ:
        match = _VARIABLE_OF_CHECK.fullmatch(variable)
        if match:
            name, setting = match["name"], match["setting"].lower()
            found.setdefault((name, setting), _per_check(name.lower(), setting))
    return list(found.values())


def _override_key(one: Declared) -> tuple[str, str]:
    name, _, setting = one.name.removeprefix(f"{PREFIX}check.").rpartition(".")
    return in_variable(name), setting


def _unknown(ini: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    known = [*_OWN, *_set_per_check(ini, environ)]
    names = {one.name for one in known}
    variables = {one.variable for one in known}
    problems = [
        _misspelt(str(key), names)
        for key in ini
        if str(key).startswith(PREFIX) and str(key) not in names
    ]
    problems += [
        _misspelt(variable, variables)
        for variable in environ
        if variable.startswith(VARIABLE_PREFIX)
        and variable not in variables
        and not _OF_KUBERNETES.match(variable)
    ]
    return problems


def _misspelt(name: str, known: set[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"{name} is no setting" + (f"; did you mean {near[0]}?" if near else "")
