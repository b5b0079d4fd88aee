"""The applications that a server serves, and the paths below which each of them answers.

An ini file may wrap an application in filters, and put several of them side by side with Paste's
urlmap. All of these are followed to the applications in them.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from combine_health.endpoints.questions import (
    PROBES,
    Question,
    UnknownNameError,
    answer,
    checks_of,
    read_question,
)
from combine_health.endpoints.views import find_route
from combine_health.engine.probes import ProbeAnswer
from combine_health.engine.registry import HealthRegistry, IHealthRegistry, Snapshot

DEEPEST = 20  # filters and compositions around an application
WRAPPED = ("app", "application", "wsgi_app", "_app")  # where WSGI filters keep what they wrap


class Mount:
    """An application below ``path``.

    :ivar health: ``None`` if the application lacks the health add-on
    :ivar lane: whether the path alone decides that a request is for this application
    """

    def __init__(self, path: str, registry: Any | None, *, lane: bool = True) -> None:
        self.path = path
        self.lane = lane
        self._registry = registry
        self.health: HealthRegistry | None = registry and registry.queryUtility(IHealthRegistry)

    @property
    def prefix(self) -> str:
        """What stands before the paths of the health endpoints."""
        return self.path + (self.health.prefix if self.health else "")

    def question(self, uri: str, accept: str) -> Question | None:
        """Return what ``uri``, without `path` and not decoded, asks; ``None`` if it is no probe."""
        path, _, query = uri.partition("?")
        if self.health is None or not self.lane or "#" in uri or not uri.isascii():
            return None
        try:
            found = find_route(self._registry, unquote_to_bytes(path).decode())
        except UnicodeDecodeError:
            return None
        if found is None or found.route.name not in PROBES:
            return None
        return read_question(found.route.name, found.values.get("group"), query, accept)

    def snapshot(self) -> Snapshot | None:
        return None if self.health is None else self.health.snapshot()

    def answer(self, question: Question, snapshot: Snapshot) -> ProbeAnswer | None:
        """Answer from ``snapshot``; ``None`` for an unknown name, as the client may not see the known."""
        assert self.health is not None
        try:
            chosen = checks_of(question, self.health)
        except UnknownNameError:
            return None
        return answer(question, chosen, snapshot.readings, snapshot.circumstances)


def mounts_of(app: Any, url_prefix: str = "") -> list[Mount]:
    """Return the applications in ``app``, in the order in which a path is compared with theirs.

    waitress removes ``url_prefix`` from a path, and takes paths without it too.
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
    yield Mount(path, None)  # what no part takes


def _parts(app: Any) -> Iterator[tuple[str, Any, bool]]:
    """Yield the parts of ``app``: the path below it, the part, and whether the path alone decides."""
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(app).__mro__}
    if "paste.urlmap.URLMap" in kinds:
        named = any(host for (host, _), _ in app.applications)
        for (_, below), part in app.applications:
            yield below, part, not named
    elif "paste.cascade.Cascade" in kinds:  # each part gets what those before it do not find
        for number, part in enumerate(app.apps):
            yield "", part, number == 0
    else:
        if "werkzeug.middleware.dispatcher.DispatcherMiddleware" in kinds:
            for below in sorted(app.mounts, key=len, reverse=True):
                yield below, app.mounts[below], True
        wrapped = (getattr(app, name, None) for name in WRAPPED)
        inner = next((one for one in wrapped if callable(one)), None)
        if "paste.deploy.config.PrefixMiddleware" in kinds:
            # It removes the prefix, and takes paths without it too.
            yield app.prefix, inner, True
        if inner is not None:
            yield "", inner, True
