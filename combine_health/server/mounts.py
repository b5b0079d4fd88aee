"""Finds the applications that a server serves, and their path prefixes.

An ini file may wrap an application in filters, and combine several applications with Paste's urlmap.
This module unwraps them.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from combine_health.endpoints.probe_request import (
    PROBES,
    ProbeRequest,
    UnknownNameError,
    answer,
    parse_request,
    selected_checks,
)
from combine_health.endpoints.views import find_route
from combine_health.engine.probes import ProbeAnswer
from combine_health.engine.registry import HealthRegistry, IHealthRegistry, Snapshot

DEEPEST = 20  # filters and compositions around an application
WRAPPED = ("app", "application", "wsgi_app", "_app")  # names of the inner application of a filter


class Mount:
    """An application below ``path``.

    :ivar health: ``None`` if the application does not include the health add-on
    :ivar lane: ``True`` if the path alone decides that a request is for this application
    """

    def __init__(self, path: str, registry: Any | None, *, lane: bool = True) -> None:
        self.path = path
        self.lane = lane
        self._registry = registry
        self.health: HealthRegistry | None = registry and registry.queryUtility(IHealthRegistry)

    @property
    def prefix(self) -> str:
        """The prefix of the paths of the health endpoints."""
        return self.path + (self.health.prefix if self.health else "")

    def parse_probe(self, uri: str, accept: str) -> ProbeRequest | None:
        """Parse ``uri``, relative to `path` and percent-encoded; return ``None`` if it is not a probe."""
        path, _, query = uri.partition("?")
        if self.health is None or not self.lane or "#" in uri or not uri.isascii():
            return None
        try:
            found = find_route(self._registry, unquote_to_bytes(path).decode())
        except UnicodeDecodeError:
            return None
        if found is None or found.route.name not in PROBES:
            return None
        return parse_request(found.route.name, found.values.get("group"), query, accept)

    def snapshot(self) -> Snapshot | None:
        return None if self.health is None else self.health.snapshot()

    def answer(self, request: ProbeRequest, snapshot: Snapshot) -> ProbeAnswer | None:
        """Answer from ``snapshot``, or return ``None`` for an unknown name.

        The views answer that request, because only they can decide whether to list the known names.
        """
        assert self.health is not None
        try:
            selected = selected_checks(request, self.health)
        except UnknownNameError:
            return None
        return answer(request, selected, snapshot.readings, snapshot.circumstances)


def mounts_of(app: Any, url_prefix: str = "") -> list[Mount]:
    """Return the applications in ``app`` in the order in which their paths are matched.

    waitress removes ``url_prefix`` from a path, and accepts paths without it too.
    """
    found = list(_mounts(app, "", DEEPEST))
    if not url_prefix:
        return found
    return [*_mounts(app, url_prefix, DEEPEST), *found]


def _mounts(app: Any, path: str, deepest: int, *, lane: bool = True) -> Iterator[Mount]:
    registry = getattr(app, "registry", None)
    if hasattr(registry, "queryUtility"):
        yield Mount(path, registry, lane=lane)
        return
    for below, part, decides in _parts(app) if deepest else ():
        yield from _mounts(part, path + below, deepest - 1, lane=lane and decides)
    yield Mount(path, None)  # for paths that match no part


def _parts(app: Any) -> Iterator[tuple[str, Any, bool]]:
    """Yield the relative path, the part, and whether the path alone decides, for each part of ``app``."""
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(app).__mro__}
    if "paste.urlmap.URLMap" in kinds:
        named = any(host for (host, _), _ in app.applications)
        for (_, below), part in app.applications:
            yield below, part, not named
    elif "paste.cascade.Cascade" in kinds:
        # Each part gets the requests that the previous parts answer with 404.
        for number, part in enumerate(app.apps):
            yield "", part, number == 0
    else:
        if "werkzeug.middleware.dispatcher.DispatcherMiddleware" in kinds:
            for below in sorted(app.mounts, key=len, reverse=True):
                yield below, app.mounts[below], True
        wrapped = (getattr(app, name, None) for name in WRAPPED)
        inner = next((candidate for candidate in wrapped if callable(candidate)), None)
        if "paste.deploy.config.PrefixMiddleware" in kinds:
            # It removes the prefix, and accepts paths without it too.
            yield app.prefix, inner, True
        if inner is not None:
            yield "", inner, True
