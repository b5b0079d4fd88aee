"""Add-ons that read their own settings and only show them: modules in "combine.settings".

An add-on that must not import this package names a module in the entry-point group. The module has
``declared()``, every setting it knows, and ``resolve(ini, environ, server)``, every setting with
its value and source (:class:`Resolved`). ``combine_health.settings`` is one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from combine_core.settings.declare import shown
from combine_core.settings.loaded import MASK, UNUSABLE, Row
from combine_core.settings.problems import Problem
from combine_core.settings.sources import Source, Sources

APPLICATION = "app:main"
# Stands in a declared name for any one name: combine_health.check.NAME.timeout.
_ANY = "NAME"


class Declared(Protocol):
    """A guest's setting."""

    @property
    def name(self) -> str:
        """Its ini key."""

    @property
    def variable(self) -> str:
        """Its environment variable."""

    @property
    def type(self) -> str:
        """What a value looks like."""

    @property
    def default(self) -> Any:
        """Its default."""

    @property
    def help(self) -> str:
        """What it is for."""

    @property
    def section(self) -> str:
        """The section of the ini file that it stands in."""


class Resolved(Protocol):
    """A guest's setting with its value."""

    @property
    def declared(self) -> Declared:
        """The setting."""

    @property
    def value(self) -> Any:
        """The value that counts."""

    @property
    def source(self) -> str:
        """Where it came from: environment, ini or default."""

    @property
    def problem(self) -> str | None:
        """Why the text is unusable, with what to write behind the last colon."""


@runtime_checkable
class Guest(Protocol):
    """The module of an add-on that reads its own settings."""

    def declared(self) -> Sequence[Declared]:
        """Every setting of the add-on."""

    def resolve(
        self, ini: Mapping[str, Any], environ: Mapping[str, str], server: Mapping[str, Any]
    ) -> Sequence[Resolved]:
        """Every setting with its value."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """What a guest's settings came to.

    :ivar overlay: its ini keys that only the ``.env`` sets, which the guest does not read itself
    """

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    overlay: dict[str, str]


def host(addon: str, guest: Guest, sources: Sources, server: Mapping[str, Any]) -> Hosted:
    """Resolve a guest's settings; the ``.env`` counts for those of the application's section."""
    overlay = _from_env_file(guest, sources)
    ini = {**sources.ini, **overlay}
    rows, problems = [], []
    for resolved in guest.resolve(ini, sources.environ, server):
        declared = resolved.declared
        from_env_file = resolved.source == Source.INI and declared.name in overlay
        rows.append(
            Row(
                addon=addon,
                variable=declared.variable,
                ini_key=_key(declared),
                value_shown=_value_shown(resolved),
                source=str(Source.ENV_FILE if from_env_file else resolved.source),
                help=declared.help,
                secret=_is_secret(declared),
            )
        )
        if resolved.problem:
            remedy = resolved.problem.rpartition(": ")[2]
            problems.append(Problem(declared.variable, "has an unusable value", remedy))
    return Hosted(tuple(rows), tuple(problems), overlay)


def _value_shown(resolved: Resolved) -> str:
    if resolved.problem:
        return UNUSABLE
    if _is_secret(resolved.declared) and resolved.value:
        return MASK
    return shown(resolved.value)


def _is_secret(declared: Declared) -> bool:
    return bool(getattr(declared, "secret", False))


def key_pattern(declared: Declared) -> str:
    """The regular expression of the ini keys that this setting has."""
    return re.escape(declared.name).replace(_ANY, ".+")


def variable_pattern(declared: Declared) -> str:
    """The regular expression of the environment variables that this setting has."""
    return re.escape(declared.variable).replace(_ANY, ".+")


def _from_env_file(guest: Guest, sources: Sources) -> dict[str, str]:
    overlay = {}
    for declared in guest.declared():
        value = sources.env_file.get(declared.variable, "")
        # NAME stands for names that cannot be told from a variable: a-b and a_b are both A_B.
        if (
            value
            and declared.section == APPLICATION
            and _ANY not in declared.variable
            and not sources.environ.get(declared.variable)
        ):
            overlay[declared.name] = value
    return overlay


def _key(declared: Declared) -> str:
    return (
        declared.name
        if declared.section == APPLICATION
        else f"{declared.name} in [{declared.section}]"
    )
