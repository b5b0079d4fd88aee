"""The ``.env`` beside the ini file, by the rules of python-dotenv, without interpolation."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream

from combine_core.settings.problems import Problem

NAME = ".env"


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What stands in the file, and what is wrong with it, by line, never by content."""

    values: dict[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def read_env_file(path: Path) -> EnvFile:
    """Read `path`; a missing file is an empty one."""
    try:
        content = path.read_bytes() if path.is_file() else b""
        if not path.is_file() and path.exists():
            return EnvFile(
                problems=(Problem(NAME, "is not a file", f"remove {path}, or make it a file"),)
            )
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return EnvFile(
            problems=(
                Problem(NAME, f"cannot be read ({reason})", f"let the service's user read {path}"),
            )
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return EnvFile(
            problems=(Problem(NAME, f"is not UTF-8 in line {line}", "save it as plain UTF-8"),)
        )
    return _parse(text)


def _parse(text: str) -> EnvFile:
    values: dict[str, str] = {}
    problems, warnings = [], []
    for binding in parse_stream(io.StringIO(text, newline="")):
        leading = binding.original.string
        blank = len(leading) - len(leading.lstrip())
        line = binding.original.line + leading[:blank].replace("\r\n", "\n").count("\n")
        if binding.error or (binding.key is not None and binding.value is None):
            problems.append(
                Problem(
                    NAME,
                    f"has a line {line} that cannot be read",
                    "write NAME=value, with both quotes or none, or # before a comment",
                )
            )
        elif binding.key is not None:
            if binding.key in values and values[binding.key] != binding.value:
                warnings.append(
                    Problem(
                        NAME,
                        f"sets the variable of line {line} a second time, to another value",
                        "keep one of the lines; the last one counts",
                    )
                )
            values[binding.key] = binding.value or ""
    return EnvFile(values, tuple(problems), tuple(warnings))
