"""Says what to install where the add-on's extra is not."""

from __future__ import annotations

from importlib.util import find_spec

# One module of each distribution without which nothing of combine_core works.
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
    except ModuleNotFoundError:  # of the package that holds it
        return True


def require_core() -> None:
    """Refuse to go on without the distributions of the extra ``core``.

    :raises ConfigurationError: names those that are missing, and the command that installs them
    """
    missing = [module for module in NEEDED if _missing(module)]
    if missing:
        # A process of its own imports this package, but not Pyramid.
        from pyramid.exceptions import ConfigurationError

        raise ConfigurationError(
            f"combine_core needs {', '.join(missing)}. Install them: pip install '.[core]' in the"
            " checkout, or pip install 'WHEEL[core]' with the path of the wheel"
        )
