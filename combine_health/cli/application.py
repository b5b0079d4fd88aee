"""Finds the ini file of the service and loads its application for a command."""

import argparse
import logging
import os
import re
import sys
from configparser import Error as IniError
from configparser import RawConfigParser
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from combine_health.cli.result import InputError
from combine_health.engine.execute import describe
from combine_health.engine.redaction import Redactor
from combine_health.engine.registry import HealthRegistry, IHealthRegistry

VARIABLE = "COMBINE_INI"
DEVELOPMENT, PRODUCTION = "development.ini", "production.ini"
NO_INI = "no ini file (this folder has none): only the environment and the defaults"
_DEPLOYED = frozenset({"production", "staging"})  # values of ENVIRONMENT

_SECRET = re.compile(r"(?i)secret|password|passwd|token|api[_-]?key|credential|database_url$|dsn$")


def add_ini_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--config",
        metavar="INI",
        help=f"the ini file of the service (default: ${VARIABLE}, else {DEVELOPMENT} in this folder"
        f" unless ENVIRONMENT is production or staging, else {PRODUCTION})",
    )


def chosen_ini(path: str | None, *, required: bool = False) -> str | None:
    """Return the ini file to use, or ``None`` if ``path`` is empty and the current folder has none.

    A file that the command line does not name is reported on stderr, because stdout is for the result.
    Raises `InputError` if a file is ``required`` and there is none.
    """
    if path:
        return path
    deployed = os.environ.get("ENVIRONMENT", "").strip().lower() in _DEPLOYED
    candidates = [PRODUCTION] if deployed else [DEVELOPMENT, PRODUCTION]
    found = (name for name in candidates if Path(name).is_file())
    chosen = os.environ.get(VARIABLE) or next(found, None)
    if chosen is None and required:
        raise InputError(
            f"this folder has no ini file: set the ini file of the service with -c or ${VARIABLE}, or"
            f" run the command in the folder of {PRODUCTION}"
        )
    sys.stderr.write(f"Using {chosen or NO_INI}\n")
    return chosen


def read_ini(ini: str) -> dict[str, Any]:
    """Return the application's section of the ini file. Raises `InputError`."""
    from pyramid.paster import get_appsettings

    _require(ini)
    try:
        return dict(get_appsettings(ini))
    except Exception as error:
        raise InputError(f"{ini} cannot be read: {_reason(error, ini)}") from error


def application(ini: str) -> HealthRegistry:
    """Create the application and return its health, not started. Raises `InputError`."""
    from pyramid.config import global_registries
    from pyramid.paster import get_app

    _require(ini)
    # Without a handler the application would log to stderr, which probers also print. The command prints
    # everything relevant itself. The handler stays, because threads may log until the process ends.
    logging.getLogger().addHandler(logging.NullHandler())
    previous = global_registries.last
    try:
        get_app(ini)
    except Exception as error:
        raise InputError(f"the application cannot start: {_reason(error, ini)}") from error
    # The application may be wrapped in WSGI middleware, so its registry is not an attribute of the result.
    registry = global_registries.last
    health: HealthRegistry | None = registry and registry.queryUtility(IHealthRegistry)
    if registry is previous or health is None:
        raise InputError(
            f"the application of {ini} does not include combine_health: add it to pyramid.includes"
        )
    return health


def _require(ini: str) -> None:
    if not Path(ini.partition("#")[0]).is_file():
        raise InputError(f"{ini} does not exist: set the ini file of the service with -c")


def _reason(error: Exception, ini: str) -> str:
    """Describe the error, and mask the values of settings whose names look like secrets."""
    if isinstance(error, PackageNotFoundError) and (where := _lines_that_name(error.name, ini)):
        action = "write egg:pyramid-combine" if error.name == "combine" else "install it"
        return f"egg:{error.name} in {where} is not installed: {action}"
    # An error about settings needs no location in the code.
    message = str(error) if "EnvironmentError" in type(error).__name__ else describe(error)
    redactor = Redactor()
    for secret in _secrets(ini):
        redactor.add(secret)
    return "\n".join(redactor.text(line) for line in message.splitlines())


def _lines_that_name(distribution: str, ini: str) -> str:
    path = Path(ini.partition("#")[0])
    names_it = re.compile(rf"\s*[^#;\s].*\begg:{re.escape(distribution)}(?![\w.-])")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [f"line {number}" for number, line in enumerate(lines, 1) if names_it.match(line)]
    return f"{path}, {', '.join(found)}" if found else ""


def _secrets(ini: str) -> list[str]:
    parser = RawConfigParser(strict=False, allow_no_value=True)
    with suppress(IniError, UnicodeDecodeError):  # the parser keeps the lines before the error
        parser.read(ini.partition("#")[0], encoding="utf-8")
    sections = (parser.items(section) for section in parser.sections())
    named = chain(os.environ.items(), parser.defaults().items(), *sections)
    return [secret for name, value in named if value for secret in _secrets_in(name, value)]


def _secrets_in(name: str, value: str) -> list[str]:
    """Return the value if its name looks like that of a secret; for a URL, the secrets in the URL."""
    if "://" not in value:
        return [value] if _SECRET.search(name) else []
    try:
        parts = urlsplit(value)
    except ValueError:
        # The redactor masks the user part of every URL, even of one that cannot be parsed.
        return []
    # A user name without a password is an API key.
    in_user_part = parts.password or parts.username
    query = [text for key, text in parse_qsl(parts.query) if _SECRET.search(key)]
    return [unquote(in_user_part), *query] if in_user_part else query
