"""What the path of a request says about it: a probe, the API, or something that needs no database."""

from __future__ import annotations

import re

from pyramid.config import Configurator
from pyramid.interfaces import IRoutesMapper
from pyramid.registry import Registry
from pyramid.request import Request

# For route patterns: what does not match is a 404 before it reaches the database.
UUID_PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
API_PATTERN = r"/api(/|$)"

_HEALTH = "/health"
# In the registry: the paths of the probes, and what others begin with.
_PROBES = "combine_core.web.probes"


def path_of(request: Request) -> str:
    """The path below the application, before it is decoded: reading it never fails."""
    path: str = request.environ.get("PATH_INFO", "")
    return path


def is_api(request: Request) -> bool:
    """Whether the request is for the API, so that errors are answered as problem documents."""
    return re.match(API_PATTERN, path_of(request)) is not None


def is_probe(request: Request) -> bool:
    """Whether a machine asks for the health of the service or for its metrics."""
    path, registry = path_of(request), request.registry
    known = registry.get(_PROBES)
    if known is None:
        prefix = _health_prefix(registry)
        known = {f"{prefix}{_HEALTH}", f"{prefix}/metrics"}, f"{prefix}{_HEALTH}/"
        registry[_PROBES] = known
    exact, beginning = known
    return path in exact or path.startswith(beginning)


def _health_prefix(registry: Registry) -> str:
    # The route prefix that the application includes combine_health with. The route tells it, because
    # combine_core must not import that add-on here.
    mapper = registry.queryUtility(IRoutesMapper)
    route = None if mapper is None else mapper.get_route("combine_health")
    pattern: str = _HEALTH if route is None else "/" + route.pattern.lstrip("/")
    return pattern.removesuffix(_HEALTH) if pattern.endswith(_HEALTH) else ""


def needs_no_database(request: Request) -> bool:
    """Whether the request is for a probe, a static file or the explorer of the API."""
    return is_probe(request) or path_of(request).startswith(("/static/", "/docs"))


def includeme(config: Configurator) -> None:
    """Begin no transaction for requests that need no database."""
    config.registry.settings["tm.activate_hook"] = lambda request: not needs_no_database(request)
