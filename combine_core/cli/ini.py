"""Reads the ini file of a command."""

from __future__ import annotations

import configparser
import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from plaster import parse_uri
from plaster_pastedeploy import Loader

# The name of the distribution before pyramid-combine.
_OLD_NAME = "combine"


class IniFileError(Exception):
    """An error in the ini file, with its place: it is malformed, or names a missing distribution."""


def path_of(ini: str) -> Path:
    """Return the path of an ini file that is given as ``production.ini#name``."""
    return Path(ini.partition("#")[0])


def application_keys(ini: str) -> dict[str, str]:
    """Return the keys of the application's section.

    :raises IniFileError: the file cannot be read. The message contains no value, which may be a secret
    """
    path = path_of(ini)
    try:
        # pyramid.paster would load Pyramid, and search all distributions for another loader.
        return dict(Loader(parse_uri(ini)).get_wsgi_app_settings())
    except configparser.InterpolationError:
        raise IniFileError(f"{path}: write each % in a value as %%") from None
    except configparser.MissingSectionHeaderError as error:
        raise IniFileError(f"{path}, line {error.lineno}: no [section] above") from None
    except configparser.ParsingError as error:
        lines = ", ".join(str(line) for line, _ in error.errors)
        raise IniFileError(f"{path}, line {lines}: write key = value") from None
    except (
        configparser.Error,
        LookupError,
        OSError,
        UnicodeDecodeError,
        PackageNotFoundError,
    ) as error:
        # On PyPI, the old name belongs to another project, which may be installed.
        name = error.name if isinstance(error, PackageNotFoundError) else _OLD_NAME
        reason = _wrong_distribution(path, name) or (
            f"{path} cannot be read as an ini file ({type(error).__name__})"
        )
        raise IniFileError(reason) from None


def _wrong_distribution(path: Path, name: str) -> str:
    """Return the lines that name this distribution, with the remedy. Return "" if no line does."""
    names_it = re.compile(rf"\s*[^#;\s].*\begg:{re.escape(name)}(?![\w.-])")
    text = path.read_text(encoding="utf-8", errors="replace")
    numbers = [
        str(number) for number, line in enumerate(text.splitlines(), 1) if names_it.match(line)
    ]
    if not numbers:
        return ""
    remedy = f"egg:{name} is not installed. Install it, or name another distribution."
    if name == _OLD_NAME:
        remedy = (
            f"write egg:pyramid-combine instead of egg:{name}; the distribution has a new name."
        )
    return f"{path}, {'line' if len(numbers) == 1 else 'lines'} {', '.join(numbers)}: {remedy}"
