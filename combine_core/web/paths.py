"""Classifies requests by their path: probes, the API, and requests that need no database."""

from __future__ import annotations

import re

from pyramid.config import Configurator
from pyramid.interfaces import IRoutesMapper
from pyramid.registry import Registry
from pyramid.request import Request

# Used in route patterns, so that a malformed id gets 404 without a query.
UUID_PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
API_PATTERN = r"/api(/|$)"

_HEALTH = "/health"
# The registry key of the exact probe paths and of their common prefix.
_PROBES = "combine_core.web.probes"


def path_of(request: Request) -> str:
    """Return the path below the application. It is not decoded yet, so reading it never fails."""
    path: str = request.environ.get("PATH_INFO", "")
    return path


def is_api(request: Request) -> bool:
    """Return whether the request is for the API, whose errors are problem documents."""
    return re.match(API_PATTERN, path_of(request)) is not None


def is_probe(request: Request) -> bool:
    """Return whether the request is for the health of the service or for its metrics."""
    path, registry = path_of(request), request.registry
    known = registry.get(_PROBES)
    if known is None:
        prefix = _health_prefix(registry)
        known = {f"{prefix}{_HEALTH}", f"{prefix}/metrics"}, f"{prefix}{_HEALTH}/"
        registry[_PROBES] = known
    paths, health_prefix = known
    return path in paths or path.startswith(health_prefix)


def _health_prefix(registry: Registry) -> str:
    # The route prefix with which the application includes combine_health. It is taken from the route,
    # because combine_core must not import that add-on here.
    mapper = registry.queryUtility(IRoutesMapper)
    route = None if mapper is None else mapper.get_route("combine_health")
    pattern: str = _HEALTH if route is None else "/" + route.pattern.lstrip("/")
    return pattern.removesuffix(_HEALTH) if pattern.endswith(_HEALTH) else ""


def needs_no_database(request: Request) -> bool:
    """Return whether the request is for a probe, a static file or the API explorer."""
    return is_probe(request) or path_of(request).startswith(("/static/", "/docs"))


def includeme(config: Configurator) -> None:
    """Make pyramid_tm begin no transaction for requests that need no database."""
    config.registry.settings["tm.activate_hook"] = lambda request: not needs_no_database(request)
