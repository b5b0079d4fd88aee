"""Checks that the dependencies of the extra ``core`` are installed."""

from __future__ import annotations

from importlib.util import find_spec

# One module of each required distribution.
NEEDED = (
    "alembic",
    "jsonschema_rs",
    "markdown_it",
    "orjson",
    "procrastinate",
    "psycopg",
    "psycopg2",
    "pydantic_settings",
    "pyramid_jinja2",
    "pyramid_retry",
    "pyramid_tm",
    "sentencex",
    "sqlalchemy",
    "Stemmer",
    "werkzeug",
    "yaml",
    "zope.sqlalchemy",
)


def _missing(module: str) -> bool:
    try:
        return find_spec(module) is None
    except ModuleNotFoundError:  # raised when the parent package is missing
        return True


def require_core() -> None:
    """Check that the distributions of the extra ``core`` are installed.

    :raises ConfigurationError: lists the missing modules and the command that installs them
    """
    missing = [module for module in NEEDED if _missing(module)]
    if missing:
        # Imported here because child processes import this package without Pyramid.
        from pyramid.exceptions import ConfigurationError

        raise ConfigurationError(
            f"combine_core needs {', '.join(missing)}. Install them: pip install '.[core]' in the"
            " checkout, or pip install 'WHEEL[core]' with the path of the wheel"
        )
