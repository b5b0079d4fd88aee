"""Where a value comes from: the environment, else ``.env``, else the ini file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from combine_core.settings.declare import Declared


class Source(StrEnum):
    """Where a value was found, as the table names it."""

    ENVIRONMENT = "environment"
    ENV_FILE = ".env"
    INI = "ini"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Found:
    """A value as it was found.

    :ivar name: the variable or ini key under which it stood
    :ivar rivals: other names in the same source that hold another value
    """

    value: Any
    source: Source
    name: str
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """The three places, in the order in which they win."""

    environ: Mapping[str, str]
    env_file: Mapping[str, str]
    ini: Mapping[str, Any]

    def find(self, declared: Declared) -> Found | None:
        """The value that counts. An empty one counts as not set."""
        places: tuple[tuple[Source, Mapping[str, Any], tuple[str, ...]], ...] = (
            (Source.ENVIRONMENT, self.environ, declared.names),
            (Source.ENV_FILE, self.env_file, declared.names),
            (Source.INI, self.ini, declared.ini_keys),
        )
        for source, values, names in places:
            present = [(name, values[name]) for name in names if not _empty(values.get(name))]
            if present:
                name, value = present[0]
                rivals = tuple(other for other, held in present[1:] if held != value)
                return Found(value, source, name, rivals)
        return None

    def empty_names(self, declared: Declared) -> Iterator[str]:
        """The names under which it is set, but to nothing."""
        for values in (self.environ, self.env_file):
            yield from (name for name in declared.names if values.get(name) == "")
        yield from (key for key in declared.ini_keys if self.ini.get(key) == "")


def _empty(value: Any) -> bool:
    return value is None or value == ""
