"""Where values come from: the environment, else ``.env``, else the ini file."""

import configparser
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from combine_core.settings.declaration import AddonSettings, Problem, Setting
from combine_core.settings.values import is_port

APPLICATION = "app:main"
SERVER = "server:main"
ENV_FILE_NAME = ".env"
DEFAULT_PORT = 8000


class Source(StrEnum):
    """Where a value was found, as the table names it."""

    ENVIRONMENT = "environment"
    ENV_FILE = ".env"
    INI = "ini"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Found:
    """A value as it was found.

    :ivar name: the variable or ini key that holds it
    :ivar rivals: other names in the same source that hold another value
    """

    value: Any
    source: Source
    name: str
    rivals: tuple[str, ...] = ()


class VariablesSource(EnvSettingsSource):
    """The variables of the environment, or of a ``.env`` that was read already."""

    source = Source.ENVIRONMENT

    def __init__(self, cls: type[AddonSettings], values: Mapping[str, Any]) -> None:
        super().__init__(cls)
        # EnvSettingsSource has read os.environ; here the caller says what the environment is. It
        # would also take a variable with the name of the field, in lower case.
        names = {name for setting in cls.declared() for name in self.names_of(setting)}
        self.env_vars = {n: v for n, v in values.items() if n in names and v not in (None, "")}

    def names_of(self, setting: Setting) -> tuple[str, ...]:
        """The names that a setting has here, the preferred one first."""
        return setting.names

    def find(self, setting: Setting) -> Found | None:
        """The value of a setting. An empty one counts as not set."""
        info = self.settings_cls.model_fields[setting.field]
        value, found, _ = self.get_field_value(info, setting.field)
        if value is None:
            return None
        names = (name for name in self.names_of(setting) if name in self.env_vars)
        rivals = tuple(name for name in names if self.env_vars[name] != value)
        return Found(value, self.source, found, rivals)


class EnvFileSource(VariablesSource):
    """The variables of the ``.env``."""

    source = Source.ENV_FILE


class IniSource(VariablesSource):
    """The keys of ``[app:main]``. A test or another program may pass values that are no texts."""

    source = Source.INI

    def __init__(self, cls: type[AddonSettings], values: Mapping[str, Any]) -> None:
        super().__init__(cls, values)
        self._keys = {one.field: one.ini_keys for one in cls.declared()}

    def names_of(self, setting: Setting) -> tuple[str, ...]:
        return setting.ini_keys

    def get_field_value(
        self,
        field: FieldInfo,  # noqa: ARG002
        field_name: str,
    ) -> tuple[Any, str, bool]:
        """Return the value, its key, and whether the value is JSON, which it never is."""
        keys = self._keys[field_name]
        found = next((key for key in keys if key in self.env_vars), keys[0])
        return self.env_vars.get(found), found, False


@dataclass(frozen=True, slots=True)
class Sources:
    """The three places, in the order in which they win."""

    environ: Mapping[str, str]
    env_file: Mapping[str, str]
    ini: Mapping[str, Any]

    def find_all(self, cls: type[AddonSettings]) -> dict[str, Found]:
        """The values that were given to the settings of an add-on, by field."""
        readers = (
            VariablesSource(cls, self.environ),
            EnvFileSource(cls, self.env_file),
            IniSource(cls, self.ini),
        )
        hits = {
            one.field: next((hit for reader in readers if (hit := reader.find(one))), None)
            for one in cls.declared()
        }
        return {field: hit for field, hit in hits.items() if hit}

    def is_empty(self, setting: Setting) -> bool:
        """Whether the setting is set, but to nothing."""
        variables = (self.environ, self.env_file)
        return any(values.get(name) == "" for values in variables for name in setting.names) or any(
            self.ini.get(key) == "" for key in setting.ini_keys
        )


@dataclass(frozen=True, slots=True)
class EnvFile:
    """The variables of a ``.env``, and its faults: by line, never by content."""

    values: dict[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def read_env_file(path: Path) -> EnvFile:
    """Read a ``.env`` by the rules of python-dotenv, without interpolation. It may be missing."""
    try:
        if path.is_file():
            return _parse(path.read_bytes())
        if not path.exists():
            return EnvFile()
        what, remedy = "is not a file", f"remove {path}, or make it a file"
    except OSError as error:
        what = f"cannot be read ({error.strerror or type(error).__name__})"
        remedy = f"let the service's user read {path}"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        what, remedy = f"is not UTF-8 in line {line}", "save it as plain UTF-8"
    return EnvFile(problems=(Problem(ENV_FILE_NAME, what, remedy),))


def _parse(content: bytes) -> EnvFile:
    values: dict[str, str] = {}
    problems, warnings = [], []
    for binding in parse_stream(io.StringIO(content.decode("utf-8-sig"), newline="")):
        original = binding.original.string
        blank = original[: len(original) - len(original.lstrip())]
        line = binding.original.line + blank.replace("\r\n", "\n").count("\n")
        if binding.error or (binding.key is not None and binding.value is None):
            what = f"has a line {line} that cannot be read"
            remedy = "write NAME=value, with both quotes or none, or # before a comment"
            problems.append(Problem(ENV_FILE_NAME, what, remedy))
        elif binding.key is not None:
            if values.get(binding.key, binding.value) != binding.value:
                what = f"sets the variable of line {line} a second time, to another value"
                remedy = "keep one of the lines; the last one counts"
                warnings.append(Problem(ENV_FILE_NAME, what, remedy))
            values[binding.key] = binding.value or ""
    return EnvFile(values, tuple(problems), tuple(warnings))


def server_section(ini_path: Path | None) -> dict[str, str]:
    """The keys of ``[server:main]`` as they stand; the server itself interpolates them."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read(ini_path or [], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # Whoever loads the application from this file says what is wrong with it.
        return {}
    return dict(parser[SERVER]) if parser.has_section(SERVER) else {}


def port_of(environ: Mapping[str, str], server: Mapping[str, str]) -> int:
    """The port that the server will listen on: it reads these itself, before an application exists."""
    for text in (
        environ.get("PORT", ""),
        environ.get("LISTEN", "").partition(" ")[0].rpartition(":")[2],
        server.get("listen", "").strip().partition(" ")[0].rpartition(":")[2],
        server.get("port", ""),
    ):
        if is_port(text.strip()):
            return int(text)
    return DEFAULT_PORT
