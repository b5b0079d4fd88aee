"""Which add-ons declare settings here: those of the entry-point group, those the ini includes."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pyramid.settings import aslist

from combine_core.settings.core import CoreSettings
from combine_core.settings.declare import ANY_NAME, AddonSettings, keys_of
from combine_core.settings.guests import APPLICATION, Guest, key_pattern, variable_pattern
from combine_core.settings.judge import with_names
from combine_core.settings.problems import Problem
from combine_core.settings.sources import Sources
from combine_core.settings.unknown import Names

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "combine.settings"
# By the server, and by the command line.
_READ_ELSEWHERE = ("PORT", "LISTEN", "COMBINE_INI")


@dataclass(frozen=True)
class Installed:
    """What declares settings: classes, guests by the add-on's name, and what cannot be loaded."""

    classes: tuple[type[AddonSettings], ...]
    guests: Mapping[str, Guest]
    problems: tuple[Problem, ...] = ()

    def only(self, addons: Iterable[str]) -> "Installed":
        """The same for these add-ons alone."""
        wanted = set(addons)
        return Installed(
            tuple(cls for cls in self.classes if cls.addon in wanted),
            {name: guest for name, guest in self.guests.items() if name in wanted},
            tuple(problem for problem in self.problems if problem.variable in wanted),
        )

    def with_names(self, sources: Sources) -> "Installed":
        """The same with the settings of names that other settings list."""
        classes = tuple(with_names(cls, sources) for cls in self.classes)
        return replace(self, classes=classes)


def installed(distribution: str | None = None) -> Installed:
    """Everything in the entry-point group, combine_core first.

    :param distribution: only what this distribution brings
    """
    classes: dict[type[AddonSettings], None] = {CoreSettings: None}
    guests: dict[str, Guest] = {}
    problems = []
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda e: e.name):
        if distribution and (entry_point.dist is None or entry_point.dist.name != distribution):
            continue
        try:
            declaring: Any = entry_point.load()
        except Exception as error:
            log.debug("the settings of %s cannot be loaded", entry_point.name, exc_info=True)
            problems.append(_not_loadable(entry_point, error))
            continue
        if isinstance(declaring, type) and issubclass(declaring, AddonSettings):
            classes[declaring] = None
        elif isinstance(declaring, Guest):
            guests[entry_point.name] = declaring
        else:
            what = f"names {entry_point.value} in {ENTRY_POINT_GROUP}, which declares no settings"
            problems.append(Problem(entry_point.name, what, "correct that entry point"))
    return Installed(tuple(classes), guests, tuple(problems))


def included(ini: Mapping[str, Any]) -> set[str]:
    """The add-ons that ``pyramid.includes`` names, and combine_core, which reads it."""
    names = aslist(ini.get("pyramid.includes") or "")
    return {CoreSettings.addon, *(str(name).partition(".")[0] for name in names)}


def names_of(used: Installed, all_installed: Installed) -> Names:
    """The names of all settings: ini keys of the add-ons in use, variables of all."""
    names = Names(
        addons={cls.addon for cls in used.classes} | set(used.guests),
        installed={cls.addon for cls in all_installed.classes} | set(all_installed.guests),
        variables=list(_READ_ELSEWHERE),
    )
    for cls in used.classes:
        names.keys += (key for declared in cls.declared() for key in declared.ini_keys)
        names.key_patterns += (rf"{cls.addon}\.{pattern}" for pattern in cls.further_keys)
        names.lists += _lists(cls)
    for guest in used.guests.values():
        for declared in guest.declared():
            if declared.section == APPLICATION:
                names.keys.append(declared.name)
                names.key_patterns.append(key_pattern(declared))
    for cls in {*used.classes, *all_installed.classes}:
        names.variables += (name for declared in cls.declared() for name in declared.names)
    for guest in {**used.guests, **all_installed.guests}.values():
        for declared in guest.declared():
            names.variables.append(declared.variable)
            names.variable_patterns.append(variable_pattern(declared))
    return names


def _lists(cls: type[AddonSettings]) -> Iterator[tuple[str, str]]:
    """The patterns of keys that belong to a name, with the setting that would have to list it."""
    if not cls.named_by:
        return
    (listing,) = (d.ini_key for d in cls.declared() if d.field == cls.named_by)
    for field, (_, info) in cls.of_name(ANY_NAME).items():
        for key in keys_of(cls.addon, field, info):
            yield re.escape(key).replace(ANY_NAME, "([a-z][a-z0-9_]*?)"), listing


def _not_loadable(entry_point: EntryPoint, error: Exception) -> Problem:
    addon = entry_point.name
    if isinstance(error, ModuleNotFoundError) and error.name:
        what = f"needs the package {error.name}, which is not installed"
        dist = entry_point.dist
        remedy = f"install it, or install {dist.name if dist else addon} with all its dependencies"
        return Problem(addon, what, remedy)
    what = f"cannot be loaded ({type(error).__name__})"
    return Problem(addon, what, "mend that add-on, or take it out of pyramid.includes")
