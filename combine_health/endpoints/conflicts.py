"""Finds routes of the application with the same path as an endpoint."""

import logging
import re
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import IRoutesMapper

from combine_health.endpoints.views import HealthContext

log = logging.getLogger("combine_health")

OPTIONAL = {
    "combine_health_metrics": "combine_health.metrics = never",
    "combine_health_status": "combine_health.status_page = false",
}
MOVES = "combine_health.route_prefix = internal, which moves the endpoints below /internal"


def verify_routes(registry: Any) -> None:
    """Raise `ConfigurationError` if the application has a route with the path of an endpoint.

    A route that was added before /metrics or /status replaces that endpoint. A view without a route
    may be for other resources than the root, so it causes only a warning.
    """
    routes = registry.getUtility(IRoutesMapper).get_routes()
    problems = []
    for at, ours in enumerate(routes):
        if ours.factory is not HealthContext:
            continue
        for position, theirs in enumerate(routes):
            if theirs.factory is HealthContext or not _overlap(ours, theirs):
                continue
            if position < at and ours.name in OPTIONAL:
                log.info(
                    "%s is the route %r of the application, which replaces the health endpoint %s",
                    theirs.pattern,
                    theirs.name,
                    ours.name,
                )
            else:
                problems.append(
                    f"the route {theirs.name!r} of the application ({theirs.pattern}) and the health"
                    f" endpoint {ours.name!r} ({ours.pattern}) have the same path. Change your route,"
                    f" or set {OPTIONAL.get(ours.name, MOVES)}"
                )
    _warn_of_views(
        registry,
        {
            "/" + route.pattern.lstrip("/"): route.name
            for route in routes
            if route.factory is HealthContext
        },
    )
    if problems:
        raise ConfigurationError("combine_health cannot start:\n  " + "\n  ".join(problems))


def _warn_of_views(registry: Any, ours: dict[str, str]) -> None:
    for entry in registry.introspector.get_category("views", ()):
        view = entry["introspectable"]
        name = ours.get(f"/{view['name']}")
        if name and view["route_name"] is None and view["context"] is None:
            log.warning(
                "the view %r of the application (%s) gets no requests at /%s: the health endpoint %r"
                " has this path. To free the path, set %s",
                view["name"],
                view.title,
                view["name"],
                name,
                OPTIONAL.get(name, MOVES),
            )


def _overlap(ours: Any, theirs: Any) -> bool:
    pattern = "/" + theirs.pattern.lstrip("/")
    if _shape(pattern) == _shape("/" + ours.pattern.lstrip("/")):
        return True
    is_a_path = not re.search(r"[{}*:]", pattern)
    return is_a_path and ours.match(pattern) is not None


def _shape(pattern: str) -> str:
    return re.sub(r"\{[^}]*\}|:\w+", "{}", pattern)
