"""The sources of values in order of precedence: the environment, ``.env``, the ini file."""

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
    """The source of a value, as shown in the table."""

    ENVIRONMENT = "environment"
    ENV_FILE = ".env"
    INI = "ini"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Found:
    """A value in a source.

    :ivar name: the variable or ini key of the value
    :ivar rivals: other names of the setting in the same source with another value
    """

    value: Any
    source: Source
    name: str
    rivals: tuple[str, ...] = ()


class VariablesSource(EnvSettingsSource):
    """The variables of the environment, or of a parsed ``.env``."""

    source = Source.ENVIRONMENT

    def __init__(self, cls: type[AddonSettings], values: Mapping[str, Any]) -> None:
        super().__init__(cls)
        # Replaces os.environ, which EnvSettingsSource has read, with the environment of the caller. Also
        # excludes variables with the lower-case name of a field, which EnvSettingsSource would accept.
        names = {name for setting in cls.declared() for name in self.names_of(setting)}
        self.env_vars = {n: v for n, v in values.items() if n in names and v not in (None, "")}

    def names_of(self, setting: Setting) -> tuple[str, ...]:
        """Return the names of a setting in this source, the preferred one first."""
        return setting.names

    def find(self, setting: Setting) -> Found | None:
        """Return the value of a setting, or ``None``. An empty value counts as not set."""
        info = self.settings_cls.model_fields[setting.field]
        value, name, _ = self.get_field_value(info, setting.field)
        if value is None:
            return None
        names = (one for one in self.names_of(setting) if one in self.env_vars)
        rivals = tuple(one for one in names if self.env_vars[one] != value)
        return Found(value, self.source, name, rivals)


class EnvFileSource(VariablesSource):
    """The variables of the ``.env``."""

    source = Source.ENV_FILE


class IniSource(VariablesSource):
    """The keys of ``[app:main]``. Tests and other programs may pass values that are not texts."""

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
        """Return the value, its key, and ``False``, because the value is not JSON."""
        keys = self._keys[field_name]
        key = next((key for key in keys if key in self.env_vars), keys[0])
        return self.env_vars.get(key), key, False


@dataclass(frozen=True, slots=True)
class Sources:
    """The three sources in order of precedence."""

    environ: Mapping[str, str]
    env_file: Mapping[str, str]
    ini: Mapping[str, Any]

    def find_all(self, cls: type[AddonSettings]) -> dict[str, Found]:
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
        variables = (self.environ, self.env_file)
        return any(values.get(name) == "" for values in variables for name in setting.names) or any(
            self.ini.get(key) == "" for key in setting.ini_keys
        )


@dataclass(frozen=True, slots=True)
class EnvFile:
    """The variables of a ``.env``, and its problems, which contain line numbers but no content."""

    values: dict[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def read_env_file(path: Path) -> EnvFile:
    """Parse a ``.env`` by the rules of python-dotenv, without interpolation. The file may be missing."""
    try:
        if path.is_file():
            return _parse(path.read_bytes())
        if not path.exists():
            return EnvFile()
        fault, remedy = "is not a file", f"remove {path}, or make it a file"
    except OSError as error:
        fault = f"cannot be read ({error.strerror or type(error).__name__})"
        remedy = f"allow the service's user to read {path}"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        fault, remedy = f"is not UTF-8 in line {line}", "save it as plain UTF-8"
    return EnvFile(problems=(Problem(ENV_FILE_NAME, fault, remedy),))


def _parse(content: bytes) -> EnvFile:
    values: dict[str, str] = {}
    problems, warnings = [], []
    for binding in parse_stream(io.StringIO(content.decode("utf-8-sig"), newline="")):
        original = binding.original.string
        blank = original[: len(original) - len(original.lstrip())]
        line = binding.original.line + blank.replace("\r\n", "\n").count("\n")
        if binding.error or (binding.key is not None and binding.value is None):
            fault = f"has a line {line} that cannot be read"
            remedy = "write NAME=value, with both quotes or none, or # before a comment"
            problems.append(Problem(ENV_FILE_NAME, fault, remedy))
        elif binding.key is not None:
            if values.get(binding.key, binding.value) != binding.value:
                fault = f"sets the variable of line {line} a second time, to another value"
                remedy = "keep one of the lines; the last one counts"
                warnings.append(Problem(ENV_FILE_NAME, fault, remedy))
            values[binding.key] = binding.value or ""
    return EnvFile(values, tuple(problems), tuple(warnings))


def server_section(ini_path: Path | None) -> dict[str, str]:
    """Return the raw keys of ``[server:main]``, which the server itself interpolates."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read(ini_path or [], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # Loading the application from this file reports its errors.
        return {}
    return dict(parser[SERVER]) if parser.has_section(SERVER) else {}


def port_of(environ: Mapping[str, str], server: Mapping[str, str]) -> int:
    """Return the port that the server will listen on, from the same values that the server reads."""
    for text in (
        environ.get("PORT", ""),
        environ.get("LISTEN", "").partition(" ")[0].rpartition(":")[2],
        server.get("listen", "").strip().partition(" ")[0].rpartition(":")[2],
        server.get("port", ""),
    ):
        if is_port(text.strip()):
            return int(text)
    return DEFAULT_PORT
