"""Loads the settings of all add-ons at once, and collects all their problems."""

import difflib
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from combine_core.settings.addons import (
    Installed,
    Names,
    included,
    installed,
    read_module,
    unknown_keys,
    unknown_variables,
    unprefixed_keys,
)
from combine_core.settings.core import CoreSettings
from combine_core.settings.declaration import (
    AddonSettings,
    ConfigurationEnvironmentError,
    Environment,
    Finding,
    Given,
    Place,
    Problem,
    Setting,
    Unusable,
)
from combine_core.settings.loaded import MISSING, UNUSABLE, LoadedSettings, Row, value_shown
from combine_core.settings.sources import (
    ENV_FILE_NAME,
    EnvFile,
    Found,
    Source,
    Sources,
    port_of,
    read_env_file,
    server_section,
)
from combine_core.settings.values import examine

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The result of loading, before problems are logged or raised.

    :ivar loaded: the settings, with defaults in place of unusable values
    :ivar problems: the problems that prevent the start
    :ivar warnings: the other problems
    :ivar faults: the problems of tolerated settings
    """

    loaded: LoadedSettings
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    faults: tuple[Problem, ...]


def load_all(
    ini: Mapping[str, Any],
    ini_path: Path | None,
    environ: Mapping[str, str] = os.environ,
    classes: Iterable[type[AddonSettings]] | None = None,
) -> LoadedSettings:
    """Load the settings of all add-ons, and log warnings.

    :param ini: the keys of ``[app:main]``
    :param ini_path: the ini file, whose folder may contain a ``.env``
    :param classes: the settings to load; by default, those of the add-ons in ``pyramid.includes``
    :raises ConfigurationEnvironmentError: there are problems, which are also logged in one line
    """
    used = None if classes is None else Installed(tuple(classes))
    outcome = check_all(ini, ini_path, environ, used)
    for warning in outcome.warnings:
        log.warning("%s", warning)
    if outcome.problems:
        error = ConfigurationEnvironmentError(outcome.problems)
        log.critical("%s", error.one_line)
        raise error
    return outcome.loaded


def check_all(
    ini: Mapping[str, Any],
    ini_path: Path | None,
    environ: Mapping[str, str] = os.environ,
    used: Installed | None = None,
) -> Outcome:
    """Load the settings of all add-ons without logging or raising an exception.

    :param used: the declarations to load; by default, those of the add-ons in ``pyramid.includes``
    """
    here = ini_path.resolve().parent if ini_path else Path.cwd()
    env_file = read_env_file(here / ENV_FILE_NAME) if ini_path else EnvFile()
    server = server_section(ini_path)
    sources = Sources(environ, env_file.values, ini)
    named = sources.find_all(CoreSettings).get("environment")
    environment = probable_environment(str(named.value) if named else None)
    variables = {**env_file.values, **{name: value for name, value in environ.items() if value}}
    place = Place(environment, here, port_of(variables, server))

    everything = installed()
    used = used or everything.only(included(ini))
    extended = _with_names(used, sources)
    names = Names(extended, _with_names(everything, sources), sources)

    report = _Report([*env_file.problems, *used.problems], [*env_file.warnings])
    addons = [_CheckedAddon(cls, sources, place, names) for cls in extended.classes]
    for checked in addons:
        checked.add_to(report)
    overlay: dict[str, Any] = {}
    for addon, module in used.modules.items():
        rows, problems, own = read_module(addon, module, sources, server)
        report.rows += rows
        report.problems += problems
        overlay |= own
    report.problems += unknown_keys(ini, names)
    report.warnings += unprefixed_keys(ini, names)
    report.warnings += unknown_variables(environ, env_file.values, names)
    instances = (one.instance for one in addons)
    loaded = LoadedSettings(dict(zip(used.classes, instances, strict=True)), report.rows, overlay)
    return Outcome(loaded, *map(tuple, (report.problems, report.warnings, report.faults)))


def probable_environment(value: str | None) -> Environment:
    """Return the environment that was probably meant: "Prod" is production.

    The fallback is production, which has the strictest rules. The result is used only to check the other
    settings, when the start is refused anyway or when no environment is set.
    """
    word = (value or "").strip().strip("\"'").casefold()
    if len(word) >= 3:
        for environment in Environment:
            if environment.startswith(word):
                return environment
        close = difflib.get_close_matches(word, [e.value for e in Environment], n=1)
        if close:
            return Environment(close[0])
    return Environment.PRODUCTION


@dataclass
class _Report:
    """The problems and rows of all add-ons."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    faults: list[Problem] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


class _CheckedAddon:
    """The settings of one add-on, with their findings."""

    def __init__(
        self, cls: type[AddonSettings], sources: Sources, place: Place, names: Names
    ) -> None:
        self._cls = cls
        self._sources = sources
        self._names = names
        self._found = sources.find_all(cls)
        self._findings: list[tuple[str, Finding]] = []
        texts: dict[str, Any] = {}
        skipped: set[str] = set()
        for one in cls.declared():
            hit = self._found.get(one.field)
            text, skip = self._examine(one, hit) if hit else ("", False)
            if skip:
                skipped.add(one.field)
            elif text != "":
                texts[one.field] = text
            elif place.environment in one.required_in:
                self._findings.append((one.field, self._missing(one)))
        usable, unusable = _usable(cls, texts)
        self._findings += ((name, why) for name, reasons in unusable.items() for why in reasons)
        # A placeholder that causes only a warning counts as not set.
        self._given = Given(usable, skipped | unusable.keys(), place)
        self.instance = cls(**{**usable, **cls.derived_values(self._given)})
        self._findings += self.instance.findings(self._given)

    def add_to(self, report: _Report) -> None:
        """Add rows, problems, warnings and faults to the report, in the order of declaration."""
        environment = self._given.place.environment
        for one in self._cls.declared():
            problems: list[Problem] = []
            warnings: list[Problem] = []
            for name, finding in self._findings:
                if name == one.field:
                    refused = one.tolerated or environment in finding.refused_in
                    (problems if refused else warnings).append(self._problem(one, finding))
            problems, warnings = list(dict.fromkeys(problems)), list(dict.fromkeys(warnings))
            if one.tolerated:
                self.instance.set_faults({one.field: tuple(problems)})
                report.faults += problems
            else:
                report.problems += problems
            report.warnings += warnings
            report.rows.append(self._row(one))

    def _examine(self, setting: Setting, hit: Found) -> tuple[Any, bool]:
        """Return the cleaned text, and whether the setting counts as not set."""
        findings: list[Finding] = []
        text, skip = hit.value, False
        if hit.rivals:
            fault = f"and {' and '.join(hit.rivals)} hold different values"
            findings.append(Finding(fault, f"keep one of them, {hit.name}"))
        if isinstance(text, str):
            # In an ini file, white space around a value has no meaning.
            text = text.strip() if hit.source is Source.INI else text
            examined = examine(text, setting.kind, many=isinstance(setting.default, tuple))
            findings += examined.findings
            text, skip = examined.text, examined.placeholder
        self._findings += ((setting.field, finding) for finding in findings)
        return text, skip or (setting.tolerated and bool(findings))

    def _missing(self, setting: Setting) -> Finding:
        if self._sources.is_empty(setting):
            return Finding("is set but empty")
        present = {*self._sources.environ, *self._sources.env_file}
        other = self._names.misspelt(setting.variable, present)
        return Finding(
            f"is not set, but {other} is, which is not a setting" if other else "is not set"
        )

    def _problem(self, setting: Setting, finding: Finding) -> Problem:
        hit = self._found.get(setting.field)
        alias = hit.name if hit and hit.name != setting.variable else ""
        where = f"as {alias}" if alias else ""
        if hit and hit.source is Source.ENV_FILE:
            where = f"in {ENV_FILE_NAME} {where}".strip()
        fault = f"({where}) {finding.fault}" if where else finding.fault
        remedy = finding.remedy or setting.write or f"write {setting.shape}"
        return Problem(setting.variable, fault, remedy)

    def _row(self, setting: Setting) -> Row:
        hit = self._found.get(setting.field)
        if hit and setting.field in self._given.unusable:
            return Row.of(setting, UNUSABLE, hit.source)
        source = hit.source if hit and setting.field in self._given else Source.DEFAULT
        if source is Source.DEFAULT and self._given.place.environment in setting.required_in:
            return Row.of(setting, MISSING, source)
        value = getattr(self.instance, setting.field)
        return Row.of(setting, value_shown(setting, value, source), source)


def _with_names(declaring: Installed, sources: Sources) -> Installed:
    """Add the settings of the names that a setting lists, such as AUTH_PROVIDERS."""
    classes = tuple(cls.extended(_listed_names(cls, sources)) for cls in declaring.classes)
    return replace(declaring, classes=classes)


def _listed_names(cls: type[AddonSettings], sources: Sources) -> Iterable[str]:
    listing = next((one for one in cls.declared() if one.field == cls.named_by), None)
    if listing is None:
        return ()
    hit = sources.find_all(cls).get(listing.field)
    text = hit.value if hit else ""
    if isinstance(text, str):
        text = examine(text, listing.kind, many=True).text
    usable, _ = _usable(cls, {listing.field: text} if text else {})
    names: Iterable[str] = usable.get(listing.field, listing.default)
    return names


def _usable(
    cls: type[AddonSettings], texts: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[Finding, ...]]]:
    """Parse the texts by field. Return the values, and the findings of the texts that cannot be parsed."""
    try:
        instance = cls(**texts)
    except ValidationError as error:
        unusable = {
            str(detail["loc"][0]): _reasons(detail.get("ctx", {}).get("error"))
            for detail in error.errors(include_url=False, include_input=False)
        }
    else:
        return {name: getattr(instance, name) for name in texts}, {}
    good = {name: text for name, text in texts.items() if name not in unusable}
    return _usable(cls, good)[0], unusable


def _reasons(cause: object) -> tuple[Finding, ...]:
    if isinstance(cause, Unusable):
        return cause.findings
    return (Finding("has a value of the wrong type"),)
