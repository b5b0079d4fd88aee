"""The service's entry point for ini files: ``[app:main] use = egg:pyramid-combine``.

It checks that the dependencies of the extra ``core`` are installed.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyramid.router import Router

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


def main(global_config: dict[str, str], **settings: Any) -> Router:
    """Assemble the service that an ini file describes.

    The Configurator includes the add-ons that ``pyramid.includes`` names, in that order.

    :raises ConfigurationEnvironmentError: names every setting that is missing or wrong
    """
    # Other modules are imported inside the functions: a missing extra has to be reported before an import
    # fails, and a command that reads the ini file imports this module without building an application.
    require_core()
    with _without_garbage_collection():
        return _assemble(global_config, settings)


def _assemble(global_config: dict[str, str], settings: dict[str, Any]) -> Router:
    from pyramid.config import Configurator

    from combine_core.observe import configure_logging
    from combine_core.settings import SETTINGS_KEY, load_all
    from combine_core.settings.core import CoreSettings

    ini = global_config.get("__file__")
    # All settings are checked together, before any add-on is included.
    loaded = load_all(settings, Path(ini) if ini else None)
    if global_config.get("__script__") == "pserve":
        # Now, so that format and masking apply to the log lines of the start, too.
        configure_logging(loaded.get(CoreSettings), loaded.secrets())
    # combine_core.serving reads these.
    paste = {name: global_config.get(name) for name in ("__file__", "__script__")}
    assembled = {**paste, **settings, **loaded.overlay, SETTINGS_KEY: loaded}
    with Configurator(settings=assembled) as config:
        return config.make_wsgi_app()


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pause garbage collection, which takes a fifth of the start and finds nothing to free."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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
