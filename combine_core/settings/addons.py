"""Finds the add-ons that declare settings, the names of all settings, and unknown names."""

import difflib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, runtime_checkable

from pyramid.settings import aslist

from combine_core.settings.core import CoreSettings
from combine_core.settings.declaration import (
    ANY_NAME,
    MASK,
    AddonSettings,
    Problem,
    declared_setting,
    shown,
)
from combine_core.settings.loaded import UNUSABLE, Row
from combine_core.settings.sources import APPLICATION, ENV_FILE_NAME, Source, Sources

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "combine.settings"
# The server and the command line read these variables.
_READ_ELSEWHERE = ("PORT", "LISTEN", "COMBINE_INI")
# Every variable with this prefix is meant for Combine.
_PREFIX = "COMBINE_"
# Kubernetes sets these variables in every pod for each Service, whose name may be combine or combine-core.
_KUBERNETES = re.compile(
    r"[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
    r"|(?P<url>[A-Z0-9_]+_PORT)"
)
_SIMILARITY = 0.85
# Messages contain only such names, because another text may be a misplaced value.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
# Used for add-ons that do not declare which of their settings are secret.
_SECRET_NAME = re.compile(r"secret|password|token|credential|(^|_)key($|_)", re.IGNORECASE)


@runtime_checkable
class SettingsModule(Protocol):
    """A module of an add-on that reads its own settings, such as ``combine_health.settings``.

    ``declared()`` returns all settings, with `name` (the ini key), `variable`, `type`, `default`, `help`,
    `section` (of the ini file) and, for secrets, a true `secret`. ``resolve()`` returns each setting
    (`declared`) with its `value`, `source` and `problem` (or None). The add-on finds the result of
    ``resolve()`` in the settings of the application, under ``ADDON.resolved``. A module whose add-on has
    plugins may define ``declared_by_plugins(ini, environ)``, which returns the settings of the plugins.
    """

    def declared(self) -> Sequence[Any]:
        """Return all settings of the add-on."""

    def resolve(
        self, ini: Mapping[str, Any], environ: Mapping[str, str], server: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Return all settings with their values."""


@dataclass(frozen=True)
class Installed:
    """The declarations of settings: classes, modules by the name of the add-on, and errors of loading."""

    classes: tuple[type[AddonSettings], ...]
    modules: Mapping[str, SettingsModule] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def addons(self) -> set[str]:
        return {*self.modules, *(cls.addon for cls in self.classes)}

    def only(self, addons: Iterable[str]) -> "Installed":
        wanted = set(addons)
        return Installed(
            tuple(cls for cls in self.classes if cls.addon in wanted),
            {name: module for name, module in self.modules.items() if name in wanted},
            tuple(problem for problem in self.problems if problem.variable in wanted),
        )


def installed(distribution: str | None = None) -> Installed:
    """Load the declarations in the entry-point group, combine_core first.

    :param distribution: restricts the result to this distribution
    """
    classes: dict[type[AddonSettings], None] = {CoreSettings: None}
    modules: dict[str, SettingsModule] = {}
    problems = []
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda e: e.name):
        if distribution and (entry_point.dist is None or entry_point.dist.name != distribution):
            continue
        try:
            declaring: Any = entry_point.load()
        except Exception as error:
            log.debug("The settings of %s cannot be loaded.", entry_point.name, exc_info=True)
            problems.append(_not_loadable(entry_point, error))
            continue
        if isinstance(declaring, type) and issubclass(declaring, AddonSettings):
            classes[declaring] = None
        elif isinstance(declaring, SettingsModule):
            modules[entry_point.name] = declaring
        else:
            fault = f"names {entry_point.value} in {ENTRY_POINT_GROUP}, which declares no settings"
            problems.append(Problem(entry_point.name, fault, "correct that entry point"))
    return Installed(tuple(classes), modules, tuple(problems))


def _not_loadable(entry_point: EntryPoint, error: Exception) -> Problem:
    addon = entry_point.name
    if isinstance(error, ModuleNotFoundError) and error.name:
        fault = f"needs the package {error.name}, which is not installed"
        dist = entry_point.dist
        remedy = f"install it, or install {dist.name if dist else addon} with all its dependencies"
        return Problem(addon, fault, remedy)
    fault = f"cannot be loaded ({type(error).__name__})"
    return Problem(addon, fault, "fix that add-on, or take it out of pyramid.includes")


def included(ini: Mapping[str, Any]) -> set[str]:
    """Return the names of the add-ons in ``pyramid.includes``, and combine_core."""
    names = aslist(ini.get("pyramid.includes") or "")
    return {CoreSettings.addon, *(str(name).partition(".")[0] for name in names)}


def read_module(
    addon: str, module: SettingsModule, sources: Sources, server: Mapping[str, str]
) -> tuple[list[Row], list[Problem], dict[str, Any]]:
    """Read the settings of an add-on that has its own loader.

    :returns: rows for the table; problems; and keys for the settings of the application, from which the
        add-on takes its settings: ``ADDON.resolved``, and the ini keys that only the ``.env`` sets
    """
    overlay: dict[str, Any] = {}
    server_overlay: dict[str, Any] = {}
    variables = {**sources.env_file, **sources.environ}
    rows_with_file = module.resolve(sources.ini, variables, server) if sources.env_file else ()
    for one in [row.declared for row in rows_with_file]:
        value = sources.env_file.get(one.variable, "")
        if value and not sources.environ.get(one.variable):
            (overlay if one.section == APPLICATION else server_overlay)[one.name] = value
    rows, problems = [], []
    ini, in_server = {**sources.ini, **overlay}, {**server, **server_overlay}
    all_resolved = module.resolve(ini, sources.environ, in_server)
    for resolved in all_resolved:
        one = resolved.declared
        section_overlay = overlay if one.section == APPLICATION else server_overlay
        from_env_file = resolved.source == Source.INI and one.name in section_overlay
        secret = bool(getattr(one, "secret", _SECRET_NAME.search(one.variable)))
        rows.append(
            Row(
                addon=addon,
                variable=one.variable,
                ini_key=one.name
                if one.section == APPLICATION
                else f"{one.name} in [{one.section}]",
                value_shown=MASK if secret and resolved.value else shown(resolved.value),
                source=str(Source.ENV_FILE if from_env_file else resolved.source),
                help=one.help,
                secret=secret,
            )
        )
        if resolved.problem:
            rows[-1] = replace(rows[-1], value_shown=UNUSABLE)
            remedy = resolved.problem.rpartition(": ")[2]
            problems.append(Problem(one.variable, "has an unusable value", remedy))
    return rows, problems, {**overlay, f"{addon}.resolved": all_resolved}


def _declared(module: SettingsModule, sources: Sources) -> list[Any]:
    by_plugins: Any = getattr(module, "declared_by_plugins", None)
    environ = {**sources.env_file, **sources.environ}
    return [*module.declared(), *(by_plugins(sources.ini, environ) if by_plugins else ())]


class Names:
    """The names of all settings: the ini keys of the add-ons in use, and the variables of all add-ons.

    :param used: the add-ons in use
    :param everything: all installed add-ons
    :param sources: the sources, which determine the plugins of the add-ons
    """

    def __init__(self, used: Installed, everything: Installed, sources: Sources) -> None:
        self.addons = used.addons
        self.installed = everything.addons
        self.keys: list[str] = []
        self.variables: list[str] = list(_READ_ELSEWHERE)
        self.patterns: list[str] = []
        # Patterns of the keys of named settings, each with the ini key of the list of names.
        self.listed: list[tuple[str, str]] = []
        for cls in used.classes:
            self.keys += (key for one in cls.declared() for key in one.ini_keys)
            self.listed += _listed(cls)
        for cls in {*used.classes, *everything.classes}:
            self.variables += (name for one in cls.declared() for name in one.names)
        for addon, module in {**everything.modules, **used.modules}.items():
            for one in _declared(module, sources):
                self.variables.append(one.variable)
                self.patterns.append(_any_name(one.variable))
                if addon in used.modules and one.section == APPLICATION:
                    self.keys.append(one.name)
                    self.patterns.append(_any_name(one.name))

    def is_known(self, name: str) -> bool:
        """Check whether this is the ini key or the variable of a setting."""
        known = name in self.keys or name in self.variables
        return known or any(re.fullmatch(pattern, name) for pattern in self.patterns)

    def nearest_variable(self, name: str) -> str:
        """Return the variable that is most similar to `name`, or an empty string."""
        return _nearest(name, self.variables)

    def misspelt(self, variable: str, present: Iterable[str]) -> str:
        """Return the unknown name that is most similar to `variable`, or an empty string."""
        return _nearest(variable, self.unknown(present))

    def unknown(self, variables: Iterable[str]) -> list[str]:
        """Return the variables that belong to no setting."""
        return sorted(v for v in variables if _NAME.fullmatch(v) and not self.is_known(v))

    def has_our_prefix(self, variable: str) -> bool:
        """Check whether the variable is certainly meant for an add-on in use."""
        return variable.startswith((_PREFIX, *(f"{addon.upper()}_" for addon in self.addons)))


def unknown_keys(ini: Mapping[str, Any], names: Names) -> Iterator[Problem]:
    """Yield a problem for each unknown ini key that begins with the name of an add-on."""
    for key in map(str, ini):
        prefix, dot, _ = key.partition(".")
        if not dot or names.is_known(key):
            continue
        shown = "".join(sign if sign.isprintable() else "?" for sign in key[:100])
        rest = shown.partition(".")[2]
        unlisted = _unlisted(key, names)
        if prefix in names.addons and unlisted:
            name, listing = unlisted
            fault = f"belongs to {name}, which {listing} does not name"
            yield Problem(shown, fault, f"add {name} to {listing}, or remove it")
        elif prefix in names.addons:
            own = [k.partition(".")[2] for k in names.keys if k.startswith(f"{prefix}.")]
            near = difflib.get_close_matches(rest, own, n=1)
            remedy = f"write {prefix}.{near[0]}, or remove it" if near else "remove it"
            yield Problem(shown, "is not a setting", remedy)
        # combine_health_redis is a different add-on, not a misspelt combine_health.
        elif not any(prefix == one or prefix.startswith(f"{one}_") for one in names.installed):
            for addon in difflib.get_close_matches(prefix, names.addons, n=1, cutoff=0.8):
                yield Problem(shown, "does not belong to any add-on", f"write {addon}.{rest}")


def unprefixed_keys(ini: Mapping[str, Any], names: Names) -> Iterator[Problem]:
    """Yield a warning for each ini key without a prefix, such as ``database_url``, which has no effect."""
    full = {key.partition(".")[2]: key for key in names.keys}
    variables = {variable.casefold() for variable in names.variables}
    for key in map(str, ini):
        if key.casefold() in variables and key.casefold() in full:
            remedy = f"write {full[key.casefold()]}"
            yield Problem(key, "has no effect in the ini file", remedy)


def unknown_variables(
    environ: Mapping[str, str], env_file: Mapping[str, str], names: Names
) -> Iterator[Problem]:
    """Yield a warning for each unknown variable with our prefix, or in ``.env`` and similar to a setting."""
    own = [name for name, value in environ.items() if not _is_from_kubernetes(name, value)]
    for where, variables in (("", own), (f"(in {ENV_FILE_NAME}) ", env_file.keys() - environ)):
        for name in names.unknown(variables):
            ours = names.has_our_prefix(name)
            if not ours and not where:
                continue
            near = names.nearest_variable(name)
            if ours or near:
                remedy = f"write {near}, or remove it" if near else "remove it"
                yield Problem(name, f"{where}is not a setting", remedy)


def _is_from_kubernetes(name: str, value: str) -> bool:
    match = _KUBERNETES.fullmatch(name)
    # Kubernetes sets COMBINE_PORT to a URL. COMBINE_PORT=8000 is a mistake of a person.
    return match is not None and (match["url"] is None or "://" in value)


def _listed(cls: type[AddonSettings]) -> Iterator[tuple[str, str]]:
    listing = next((one.ini_key for one in cls.declared() if one.field == cls.named_by), "")
    for name, (_, info) in cls.of_name(ANY_NAME).items():
        for key in declared_setting(cls.addon, name, info).ini_keys:
            yield re.escape(key).replace(ANY_NAME, "([a-z][a-z0-9_]{0,99}?)"), listing


def _unlisted(key: str, names: Names) -> tuple[str, str] | None:
    matches = ((re.fullmatch(pattern, key), listing) for pattern, listing in names.listed)
    return next(((match[1], listing) for match, listing in matches if match), None)


def _any_name(name: str) -> str:
    return re.escape(name).replace(ANY_NAME, ".+")


def _nearest(name: str, candidates: Iterable[str]) -> str:
    plain = {_plain(candidate): candidate for candidate in candidates}
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=_SIMILARITY)
    return plain[close[0]] if close else ""


def _plain(name: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", name.upper())
