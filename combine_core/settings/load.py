"""Find, judge and freeze the settings of all add-ons at once."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pyramid.settings import aslist

from combine_core.settings.core import CoreSettings
from combine_core.settings.declare import AddonSettings, Declared, shown
from combine_core.settings.envfile import NAME as ENV_FILE_NAME
from combine_core.settings.envfile import EnvFile, read_env_file
from combine_core.settings.environment import Place, probable_environment
from combine_core.settings.problems import (
    ConfigurationEnvironmentError,
    Finding,
    Problem,
    Unusable,
)
from combine_core.settings.sources import Found, Source, Sources
from combine_core.settings.suspicion import examine

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "combine.settings"
MASK = "********"
_DEFAULT_PORT = 8000

S = TypeVar("S", bound=AddonSettings)


@dataclass(frozen=True, slots=True)
class Row:
    """One setting in the table; `value_shown` never shows a secret."""

    addon: str
    variable: str
    ini_key: str
    value_shown: str
    source: str
    help: str
    secret: bool


class LoadedSettings:
    """The settings of all add-ons, judged and frozen."""

    def __init__(
        self, instances: Mapping[type[AddonSettings], AddonSettings], rows: Sequence[Row]
    ) -> None:
        self._instances = dict(instances)
        self._rows = tuple(rows)

    def __repr__(self) -> str:
        return f"<settings of {', '.join(cls.addon for cls in self._instances)}>"

    def __iter__(self) -> Iterator[type[AddonSettings]]:
        return iter(self._instances)

    def __contains__(self, cls: object) -> bool:
        return cls in self._instances

    def get(self, cls: type[S]) -> S:
        """The settings of the add-on that declares `cls`.

        Raises LookupError where that add-on was not loaded.
        """
        try:
            instance = self._instances[cls]
        except KeyError:
            raise LookupError(
                f"the settings of {cls.addon} were not loaded: name it in pyramid.includes"
            ) from None
        assert isinstance(instance, cls)
        return instance

    def rows(self) -> list[Row]:
        """All settings, by add-on, in the order of their declaration."""
        return list(self._rows)

    def joined(self, other: "LoadedSettings") -> "LoadedSettings":
        """These and those."""
        instances = {cls: other.get(cls) for cls in other}
        return LoadedSettings({**self._instances, **instances}, [*self._rows, *other.rows()])

    def replaced(self, cls: type[S], source: str, **values: Any) -> "LoadedSettings":
        """The same with some values of `cls` replaced, such as the embedded database's URL.

        :param source: what the table says about where they came from
        """
        new = cls(**{**dict(self.get(cls)), **values})
        declared = {f"{cls.addon}.{d.field}": d for d in cls.declared() if d.field in values}
        rows = [
            _row(declared[row.ini_key], getattr(new, declared[row.ini_key].field), source)
            if row.ini_key in declared
            else row
            for row in self._rows
        ]
        return LoadedSettings({**self._instances, cls: new}, rows)


@dataclass(frozen=True)
class Outcome:
    """What loading came to, before anyone is told.

    :ivar loaded: the settings; with problems, unusable values are defaults in it
    """

    loaded: LoadedSettings
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def load_all(
    ini: Mapping[str, Any],
    ini_path: Path | None,
    environ: Mapping[str, str] = os.environ,
    classes: Iterable[type[AddonSettings]] | None = None,
) -> LoadedSettings:
    """Load the settings of all add-ons, log what is odd, and refuse what is wrong.

    :param ini: the keys of ``[app:main]``
    :param ini_path: the ini file; its folder may hold a ``.env``
    :param classes: the settings to load; default: those of the add-ons in ``pyramid.includes``
    :raises ConfigurationEnvironmentError: with every problem, after one log line that names them
    """
    outcome = judge_all(ini, ini_path, environ, classes)
    for warning in outcome.warnings:
        log.warning("%s", warning)
    if outcome.problems:
        error = ConfigurationEnvironmentError(outcome.problems)
        log.critical("%s", error.one_line)
        raise error
    return outcome.loaded


def judge_all(
    ini: Mapping[str, Any],
    ini_path: Path | None,
    environ: Mapping[str, str] = os.environ,
    classes: Iterable[type[AddonSettings]] | None = None,
) -> Outcome:
    """The same without a log line or an exception."""
    here = ini_path.resolve().parent if ini_path else Path.cwd()
    env_file = read_env_file(here / ENV_FILE_NAME) if ini_path else EnvFile()
    sources = Sources(environ, env_file.values, ini)
    place = _place(sources, here)
    judged = [_judge(cls, sources, place) for cls in (classes or included_classes(ini))]
    return Outcome(
        LoadedSettings(
            {type(part.instance): part.instance for part in judged},
            [row for part in judged for row in part.rows],
        ),
        (*env_file.problems, *(p for part in judged for p in part.problems)),
        (*env_file.warnings, *(w for part in judged for w in part.warnings)),
    )


def included_classes(ini: Mapping[str, Any]) -> list[type[AddonSettings]]:
    """The settings classes of the add-ons that ``pyramid.includes`` names, and of combine_core."""
    included = {name.partition(".")[0] for name in aslist(ini.get("pyramid.includes", ""))}
    classes: list[type[AddonSettings]] = [CoreSettings]
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda e: e.name):
        if entry_point.name in included:
            cls = entry_point.load()
            if cls not in classes:
                classes.append(cls)
    return classes


def _place(sources: Sources, here: Path) -> Place:
    declared = {d.field: d for d in CoreSettings.declared()}
    found = sources.find(declared["environment"])
    port = sources.environ.get("PORT") or sources.env_file.get("PORT") or ""
    return Place(
        environment=probable_environment(str(found.value) if found else None),
        here=here,
        port=int(port) if port.isascii() and port.isdigit() and len(port) < 6 else _DEFAULT_PORT,
    )


@dataclass(frozen=True)
class _Judged:
    instance: AddonSettings
    rows: list[Row]
    problems: list[Problem]
    warnings: list[Problem]


def _judge(cls: type[AddonSettings], sources: Sources, place: Place) -> _Judged:
    declared = {d.field: d for d in cls.declared()}
    found = {name: hit for name, d in declared.items() if (hit := sources.find(d)) is not None}
    findings: list[tuple[str, Finding]] = []
    texts: dict[str, Any] = {}
    placeholders: set[str] = set()
    for name, d in declared.items():
        hit = found.get(name)
        if hit is None:
            findings += ((name, f) for f in _missing(d, sources, place))
            continue
        if hit.rivals:
            what = f"and {' and '.join(hit.rivals)} hold different values"
            findings.append((name, Finding(what, f"keep one of them, {hit.name}")))
        texts[name] = hit.value
        if isinstance(hit.value, str):
            text = hit.value.strip() if hit.source is Source.INI else hit.value
            many = isinstance(d.default, tuple)
            examined = examine(text, secret=d.traits.secret, text=d.traits.text, many=many)
            texts[name] = examined.text
            findings += ((name, f) for f in examined.findings)
            if examined.placeholder:
                placeholders.add(name)

    given, unusable = _usable(cls, texts)
    for name, reasons in unusable.items():
        if name in placeholders:
            # What a placeholder is not need not be said; but without a value there is no start.
            findings.append((name, Finding("still holds a placeholder")))
        else:
            findings += ((name, reason) for reason in reasons)
    instance = cls(**{**given, **cls.worked_out(given, place)})
    findings += instance.findings(frozenset(given), place)

    problems: list[Problem] = []
    warnings: list[Problem] = []
    for name, finding in dict.fromkeys(findings):
        d = declared[name]
        remedy = finding.remedy or d.traits.write or f"write {d.traits.shape}"
        problem = Problem(_named(d, found.get(name)), finding.what, remedy)
        (problems if place.environment in finding.refused_in else warnings).append(problem)
    rows = [
        _row(d, getattr(instance, name), found[name].source if name in found else Source.DEFAULT)
        if name not in unusable
        else Row(
            d.addon,
            d.variable,
            d.ini_key,
            "(unusable)",
            found[name].source,
            d.traits.help,
            d.traits.secret,
        )
        for name, d in declared.items()
    ]
    return _Judged(instance, rows, problems, warnings)


def _missing(d: Declared, sources: Sources, place: Place) -> Iterable[Finding]:
    if place.environment in d.traits.required_in:
        empty = any(True for _ in sources.empty_names(d))
        yield Finding("is set but empty" if empty else "is not set")


def _named(d: Declared, found: Found | None) -> str:
    if found is None or found.name == d.variable and found.source is Source.ENVIRONMENT:
        return d.variable
    if found.source is Source.ENV_FILE:
        return f"{found.name} (in {ENV_FILE_NAME})"
    return f"{d.variable} (as {found.name})"


def _usable(
    cls: type[AddonSettings], texts: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[Finding, ...]]]:
    """The texts that are values of their types, as values; and for the others, why not."""
    unusable: dict[str, tuple[Finding, ...]] = {}
    try:
        instance = cls(**texts)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            cause = detail.get("ctx", {}).get("error")
            reasons = (
                cause.findings
                if isinstance(cause, Unusable)
                else (Finding("has a value of the wrong type"),)
            )
            unusable[str(detail["loc"][0])] = reasons
    else:
        return {name: getattr(instance, name) for name in texts}, unusable
    good = {name: text for name, text in texts.items() if name not in unusable}
    return _usable(cls, good)[0], unusable


def _row(d: Declared, value: Any, source: str) -> Row:
    if source == Source.DEFAULT and d.traits.secret:
        text = d.default_shown if value is None else MASK
    elif d.traits.secret and value is not None:
        text = d.traits.mask(value) if d.traits.mask else MASK
    else:
        text = shown(value)
    return Row(d.addon, d.variable, d.ini_key, text, str(source), d.traits.help, d.traits.secret)
