"""The ini file, as a command reads it."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import plaster
from pyramid.paster import get_appsettings

# What the distribution was called before it was called pyramid-combine.
_OLD_NAME = "combine"


class UnknownDistributionError(Exception):
    """The ini file names a distribution that is not there, or is another project's; the text says where."""


def application_keys(ini: str) -> dict[str, str]:
    """The keys of the application's section.

    :raises UnknownDistributionError: a line with ``egg:`` names what is not installed
    """
    try:
        keys: dict[str, str] = get_appsettings(ini)
    except PackageNotFoundError as error:
        _explain(ini, error.name, error)
        raise
    except LookupError as error:
        # On PyPI, the old name is that of another project, which may be installed.
        _explain(ini, _OLD_NAME, error)
        raise
    return keys


def _explain(ini: str, name: str, error: Exception) -> None:
    """Raise an error that names the lines, if there are any that name this distribution."""
    path = Path(plaster.parse_uri(ini).path)
    names_it = re.compile(rf"\s*[^#;\s].*\begg:{re.escape(name)}(?![\w.-])")
    text = path.read_text(encoding="utf-8", errors="replace")
    numbers = [
        str(number) for number, line in enumerate(text.splitlines(), 1) if names_it.match(line)
    ]
    if not numbers:
        return
    where = f"{path}, {'line' if len(numbers) == 1 else 'lines'} {', '.join(numbers)}"
    if name == _OLD_NAME:
        remedy = (
            f"write egg:pyramid-combine instead of egg:{name}; the distribution has a new name."
        )
    else:
        remedy = f"egg:{name} is not installed. Install it, or name another."
    raise UnknownDistributionError(f"{where}: {remedy}") from error
