"""Names that nothing reads: a misspelt setting must not be ignored without a word."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from combine_core.settings.envfile import NAME as ENV_FILE_NAME
from combine_core.settings.problems import Problem

_NEAR = 0.85
# What is no such name may be a misplaced value, which is not repeated.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
# Every variable that begins so is meant for us.
_FAMILY = "COMBINE_"


@dataclass
class Names:
    """The names that are settings.

    :ivar addons: the add-ons in use, whose ini keys `keys` and `key_patterns` are
    :ivar installed: these, and those that are only installed; the variables are of all of them
    :ivar lists: patterns of keys that belong to a name, each with the ini key of the list of names
    """

    addons: set[str] = field(default_factory=set)
    installed: set[str] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)
    key_patterns: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    variable_patterns: list[str] = field(default_factory=list)
    lists: list[tuple[str, str]] = field(default_factory=list)

    def is_key(self, name: str) -> bool:
        """Whether an add-on in use reads this ini key."""
        return name in self.keys or any(re.fullmatch(p, name) for p in self.key_patterns)

    def is_variable(self, name: str) -> bool:
        """Whether an installed add-on reads this environment variable."""
        return name in self.variables or any(re.fullmatch(p, name) for p in self.variable_patterns)

    def resembling(self, variable: str, present: Iterable[str]) -> str:
        """A name among those present that was probably meant to be `variable`, or ""."""
        strangers = {
            _plain(name): name
            for name in present
            if _NAME.fullmatch(name) and not self.is_variable(name)
        }
        close = difflib.get_close_matches(_plain(variable), strangers, n=1, cutoff=_NEAR)
        return strangers[close[0]] if close else ""


def unknown_keys(ini: Mapping[str, Any], names: Names) -> Iterator[Problem]:
    """The ini keys that begin like a setting of an add-on in use, and are none."""
    for key in map(str, ini):
        prefix, dot, _ = key.partition(".")
        if not dot or names.is_key(key):
            continue
        shown = "".join(sign if sign.isprintable() else "?" for sign in key[:100])
        if prefix in names.addons and (unlisted := _unlisted(key, names)):
            name, listing = unlisted
            what = f"belongs to {name}, which {listing} does not name"
            yield Problem(shown, what, f"add {name} to {listing}, or remove it")
        elif prefix in names.addons:
            own = [k.partition(".")[2] for k in names.keys if k.startswith(f"{prefix}.")]
            near = difflib.get_close_matches(shown.partition(".")[2], own, n=1)
            remedy = f"write {prefix}.{near[0]}, or remove it" if near else "remove it"
            yield Problem(shown, "is no setting", remedy)
        elif addon := _misspelt_addon(prefix, names):
            yield Problem(shown, "belongs to no add-on", f"write {addon}.{shown.partition('.')[2]}")


def unprefixed_keys(ini: Mapping[str, Any], names: Names) -> Iterator[Problem]:
    """Ini keys that look like a variable of ours: ``database_url`` has no effect there."""
    bare = {key.partition(".")[2]: key for key in names.keys}
    named = {variable.casefold(): variable for variable in names.variables}
    for key in map(str, ini):
        wanted = bare.get(key.casefold()) if key.casefold() in named else None
        if wanted:
            yield Problem(key, "has no effect in the ini file", f"write {wanted}")


def unknown_variables(
    environ: Mapping[str, str], env_file: Mapping[str, str], names: Names
) -> Iterator[Problem]:
    """Variables that begin like ours and are none, and those in ``.env`` that nearly are ours."""
    for name in _strangers(environ, names):
        if name.startswith(_prefixes(names)):
            yield _unknown_variable(name, "", names)
    for name in _strangers(env_file, names):
        if name not in environ and (name.startswith(_prefixes(names)) or _near(name, names)):
            yield _unknown_variable(name, f"(in {ENV_FILE_NAME}) ", names)


def _strangers(variables: Iterable[str], names: Names) -> list[str]:
    return sorted(v for v in variables if _NAME.fullmatch(v) and not names.is_variable(v))


def _prefixes(names: Names) -> tuple[str, ...]:
    return (_FAMILY, *(f"{addon.upper()}_" for addon in names.addons))


def _unknown_variable(name: str, where: str, names: Names) -> Problem:
    near = _near(name, names)
    remedy = f"write {near}, or remove it" if near else "remove it"
    return Problem(name, f"{where}is no setting", remedy)


def _near(name: str, names: Names) -> str:
    known = {_plain(variable): variable for variable in names.variables}
    close = difflib.get_close_matches(_plain(name), known, n=1, cutoff=_NEAR)
    return known[close[0]] if close else ""


def _plain(name: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", name.upper())


def _unlisted(key: str, names: Names) -> tuple[str, str] | None:
    for pattern, listing in names.lists:
        match = re.fullmatch(pattern, key)
        if match and len(match[1]) <= 100:
            return match[1], listing
    return None


def _misspelt_addon(prefix: str, names: Names) -> str:
    # combine_health_redis is a name of its own, no misspelt combine_health.
    if any(prefix == addon or prefix.startswith(f"{addon}_") for addon in names.installed):
        return ""
    close = difflib.get_close_matches(prefix, names.addons, n=1, cutoff=0.8)
    return close[0] if close else ""
