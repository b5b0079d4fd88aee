"""Defines the routes and views of the endpoints. They use no session and wait for no check."""

from collections.abc import Callable, Collection, Mapping
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import quote

from pyramid.interfaces import IRoutesMapper
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.threadlocal import RequestContext

from combine_health.endpoints import details, health_json, metrics, status_page
from combine_health.endpoints.access import (
    EarlyRequest,
    MustAskApplication,
    log_undecided,
    may_see_details,
)
from combine_health.endpoints.probe_request import (
    DECIDING,
    EVERY,
    UnknownNameError,
    answer,
    checks_named,
    names_in,
    parse_request,
    selected_checks,
    wants_health_json,
)
from combine_health.engine.check import CheckKind, Json
from combine_health.engine.probes import ProbeAnswer, encode
from combine_health.engine.registry import HealthRegistry, health_of
from combine_health.engine.state import Reading
from combine_health.settings import HealthSettings

SCHEMA = files("combine_health.endpoints").joinpath("detailed.schema.json")
SCHEMA_PATH = "/health/detailed/schema"
METHODS = frozenset({"GET", "HEAD"})
ANSWERED = "combine_health.answered"  # in the environ: a list that is filled when a view responds


class HealthContext:
    """The context of the endpoints, because the application's own root factory may do I/O."""

    def __init__(self, request: Any) -> None:
        """Accept the argument of a root factory, without using it."""


class _Endpoint(NamedTuple):
    pattern: str
    view: Callable[[Any, HealthRegistry], Response]


def add_views(config: Any, settings: HealthSettings) -> None:
    disabled = set()  # the application may use the path of a disabled endpoint
    if settings.metrics == "never":
        disabled.add("combine_health_metrics")
    if not settings.status_page:
        disabled.add("combine_health_status")
    for name, endpoint in ENDPOINTS.items():
        if name not in disabled:
            config.add_route(name, endpoint.pattern, factory=HealthContext)
            config.add_view(
                respond, route_name=name, permission=NO_PERMISSION_REQUIRED, require_csrf=False
            )


class RouteMatch(NamedTuple):
    """The route of an endpoint, and the values of its pattern."""

    route: Any
    values: Mapping[str, str]


def find_route(registry: Any, path: str) -> RouteMatch | None:
    """Return the endpoint's route for ``path``, or ``None`` if another route or no route matches first."""
    mapper = registry.queryUtility(IRoutesMapper)
    for route in mapper.get_routes() if mapper is not None else ():
        values = route.match(path)
        if values is not None:
            return RouteMatch(route, values) if route.factory is HealthContext else None
    return None


def respond(request: Any) -> Response:
    """Respond to a request whose route is that of an endpoint."""
    request.environ.get(ANSWERED, []).append(True)
    if request.method not in METHODS:
        response = _respond(_error(405, "method not allowed; use GET or HEAD"))
        response.headers["Allow"] = "GET, HEAD"
        return response
    health = health_of(request.registry)
    try:
        return ENDPOINTS[request.matched_route.name].view(request, health)
    except UnknownNameError as error:
        return _respond(_unknown_name(request, health, error))


def _probe(request: Any, health: HealthRegistry) -> Response:
    environ = request.environ
    parsed = parse_request(
        request.matched_route.name,
        request.matchdict.get("group"),
        environ.get("QUERY_STRING", ""),
        environ.get("HTTP_ACCEPT", ""),
    )
    selected = selected_checks(parsed, health)
    readings = _readings(health, parsed.kinds, selected)
    return _respond(answer(parsed, selected, readings, health.circumstances()))


def _detailed(request: Any, health: HealthRegistry) -> Response:
    """Return the full status, with 200 even if checks fail."""
    environ = request.environ
    names = checks_named(names_in(environ.get("QUERY_STRING", "")), EVERY, health)
    readings = _readings(health, EVERY, names)
    circumstances = health.circumstances()
    as_health_json = wants_health_json(environ.get("HTTP_ACCEPT", ""))
    if not may_see_details(request, health):
        if as_health_json:
            return _respond(health_json.names_and_statuses(readings, circumstances))
        return _respond(
            ProbeAnswer(200, encode(details.names_and_statuses(readings, circumstances)))
        )
    sections = details.read_sections(health.sections, request.registry, health.redactor)
    if as_health_json:
        return _respond(health_json.detailed(health, readings, circumstances, sections))
    body = details.detailed(health, readings, circumstances, sections)
    response = _respond(ProbeAnswer(200, encode(body)))
    mounted_at = quote(environ.get("SCRIPT_NAME", "").encode("latin-1"))
    response.headers["Link"] = f'<{mounted_at}{health.prefix}{SCHEMA_PATH}>; rel="describedby"'
    return response


def _schema(_request: Any, _health: HealthRegistry) -> Response:
    return _respond(ProbeAnswer(200, SCHEMA.read_bytes(), None, "application/schema+json"))


def _metrics(request: Any, health: HealthRegistry) -> Response:
    return _respond(metrics.answer(request, health))


def _status(request: Any, health: HealthRegistry) -> Response:
    return status_page.respond(request, health, _readings(health, EVERY))


ENDPOINTS = {
    "combine_health": _Endpoint("/health", _probe),
    "combine_health_ready": _Endpoint("/health/ready", _probe),
    "combine_health_ready_group": _Endpoint("/health/ready/{group}", _probe),
    "combine_health_startup": _Endpoint("/health/startup", _probe),
    "combine_health_detailed": _Endpoint("/health/detailed", _detailed),
    "combine_health_schema": _Endpoint(SCHEMA_PATH, _schema),
    "combine_health_metrics": _Endpoint("/metrics", _metrics),
    "combine_health_status": _Endpoint("/status", _status),
}
"""The endpoints by the names of their routes."""


def _readings(
    health: HealthRegistry, kinds: Collection[CheckKind], names: Collection[str] | None = None
) -> list[Reading]:
    """Return the readings of all checks, or of those in ``names``.

    Runs the checks first if they do not run in the background.
    """
    if not health.settings.background:
        health.runner.refresh(kinds, names)
        if names is None and set(DECIDING) <= set(kinds):
            health.observe()
    readings = health.runner.readings()
    return [reading for reading in readings if names is None or reading.check.name in names]


def _unknown_name(request: Any, health: HealthRegistry, error: UnknownNameError) -> ProbeAnswer:
    # Clients that may see details can read these names in the full status anyway.
    if not may_see_details(request, health):
        return _error(404, f"there is no such {error.kind} here")
    name = health.redactor.text(error.name, 64)
    known: list[Json] = [*error.known]
    return _error(404, f"there is no {error.kind} {name!r} here", **{f"{error.kind}s": known})


def _error(status: int, error: str, **more: Json) -> ProbeAnswer:
    return ProbeAnswer(status, encode({"error": error, **more}))


def _respond(answer: ProbeAnswer) -> Response:
    return Response(body=answer.body, status=answer.status, headerlist=answer.headers)


def install_execution_policy(router: Any) -> None:
    """Make ``router``, the WSGI application of Pyramid, answer the endpoints itself.

    A subscriber, a tween or a request factory of the application may raise or hang, for example while
    its database is down. If the probes failed too, the platform would restart every instance.
    The execution policy is the outermost code of the router, independent of the WSGI server.
    """
    application = router.execution_policy
    registry = router.registry
    health = health_of(registry)
    ours = tuple(health.prefix + path for path in ("/health", "/metrics", "/status"))

    def policy(environ: dict[str, Any], router: Any) -> Any:
        raw = environ.get("PATH_INFO", "").encode("latin-1", "replace")
        path = raw.decode(errors="replace")
        if not path.startswith(ours):
            return application(environ, router)
        found = find_route(registry, path)
        if found is None:
            # Pyramid raises for a path that is not UTF-8.
            if path.encode() == raw:
                return application(environ, router)
            return _respond(_error(404, "there is no such path"))
        request = EarlyRequest(environ.copy())
        request.registry = registry
        request.matched_route, request.matchdict = found
        with RequestContext(request):
            try:
                return respond(request)
            except MustAskApplication:
                pass
        answered = environ[ANSWERED] = []  # a list, because the application may copy the environ
        try:
            response = application(environ, router)
            if answered:
                return response
        except Exception as error:  # noqa: BLE001 - logged; the client gets a response
            log_undecided(health, error)
        request.may_see_details = False
        with RequestContext(request):
            return respond(request)

    router.execution_policy = policy
