"""Finding the application behind the WSGI filters that an ini file wraps it in."""

from typing import Any

from combine_health.engine.registry import IHealthRegistry

DEEPEST = 20
INNER = ("app", "application", "wsgi_app", "_app")  # what filters call what they wrap


def registry_of(app: Any) -> Any | None:
    """The Pyramid registry behind the WSGI callable ``app``, if it has the health add-on."""
    for _ in range(DEEPEST):
        registry: Any = getattr(app, "registry", None)
        if hasattr(registry, "queryUtility"):
            return registry if registry.queryUtility(IHealthRegistry) is not None else None
        inner = (getattr(app, name, None) for name in INNER)
        app = next((one for one in inner if callable(one)), None)
    return None
