"""The endpoints. They use no session, need no sign-in, and wait for no check.

A request may name checks in its query and a format in its header Accept.
"""

from collections.abc import Callable, Collection, Iterable
from functools import wraps
from importlib.resources import files
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_health.endpoints import details, health_json, metrics, status_page
from combine_health.endpoints.access import may_see_details
from combine_health.endpoints.health_json import HEALTH_JSON
from combine_health.engine import probes
from combine_health.engine.check import CheckKind, Json
from combine_health.engine.probes import JSON, Probe, ProbeAnswer, encode
from combine_health.engine.registry import HealthRegistry, health_of
from combine_health.engine.state import Reading
from combine_health.engine.verdict import Circumstances
from combine_health.settings import HealthSettings

View: TypeAlias = Callable[[Any], Response]
Judge: TypeAlias = Callable[[Iterable[Reading], Circumstances], Probe]

DECIDING = (CheckKind.LIVE, CheckKind.READY, CheckKind.STARTUP)
EVERY = tuple(CheckKind)
SCHEMA = files("combine_health.endpoints").joinpath("detailed.schema.json")
SCHEMA_PATH = "/health/detailed/schema"


class UnknownNameError(Exception):
    """The request names a check or group that does not exist; ``answer`` says so."""

    def __init__(self, answer: ProbeAnswer) -> None:
        super().__init__(answer.body)
        self.answer = answer


class HealthContext:
    """The context of the endpoints, because the application's own root factory may do I/O."""

    def __init__(self, request: Any) -> None:
        """Take nothing from the request."""


def add_views(config: Any, settings: HealthSettings) -> None:
    """Register the routes and their views."""
    routes = [
        ("health", "/health", live),
        ("health_ready", "/health/ready", ready),
        ("health_ready_group", "/health/ready/{group}", ready),
        ("health_startup", "/health/startup", startup),
        ("health_detailed", "/health/detailed", detailed),
        ("health_schema", SCHEMA_PATH, schema),
    ]
    # The path of an endpoint that is switched off stays free for the application.
    if settings.metrics != "never":
        routes.append(("health_metrics", "/metrics", scrape))
    if settings.status_page:
        routes.append(("health_status", "/status", status))
    for name, pattern, view in routes:
        config.add_route(name, pattern, factory=HealthContext)
        for function, methods in ((view, ("GET", "HEAD")), (refuse_method, None)):
            config.add_view(
                function,
                route_name=name,
                request_method=methods,
                permission=NO_PERMISSION_REQUIRED,
                require_csrf=False,
            )


def _refusing_unknown_names(view: View) -> View:
    @wraps(view)
    def answering(request: Any) -> Response:
        try:
            return view(request)
        except UnknownNameError as error:
            return _respond(error.answer)

    return answering


@_refusing_unknown_names
def live(request: Any) -> Response:
    """``GET /health``: is the process alive?"""
    return _probe(request, probes.live, (CheckKind.LIVE,), (CheckKind.LIVE,))


@_refusing_unknown_names
def ready(request: Any) -> Response:
    """``GET /health/ready`` and ``/health/ready/GROUP``: should requests come here?"""
    return _probe(request, probes.ready, DECIDING, EVERY)


@_refusing_unknown_names
def startup(request: Any) -> Response:
    """``GET /health/startup``: has the process come up?"""
    return _probe(
        request,
        lambda readings, _: probes.startup(readings),
        (CheckKind.STARTUP,),
        (CheckKind.STARTUP,),
    )


def _probe(
    request: Any, judge: Judge, deciding: Collection[CheckKind], nameable: Collection[CheckKind]
) -> Response:
    """Answer a probe that checks of the kinds ``deciding`` decide, or the checks that it names."""
    health = health_of(request.registry)
    group = _group_in_path(request, health)
    names = _names_in_query(request, health, nameable)
    readings = _readings(health, nameable if names else deciding, names, group)
    probe = judge(map(probes.asked, readings) if names else readings, health.circumstances())
    if names or group is not None:
        probe = probe.naming(readings)
    answer = health_json.probe_answer if _wants_health_json(request) else probes.plain
    return _respond(answer(probe))


@_refusing_unknown_names
def detailed(request: Any) -> Response:
    """``GET /health/detailed``: the full status; 200 even if checks fail."""
    health = health_of(request.registry)
    names = _names_in_query(request, health, EVERY)
    readings = _readings(health, EVERY, names)
    circumstances = health.circumstances()
    as_health_json = _wants_health_json(request)
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
    response.headers["Link"] = f'<{health.prefix}{SCHEMA_PATH}>; rel="describedby"'
    return response


def schema(_request: Any) -> Response:
    """``GET /health/detailed/schema``: the JSON Schema of the full status."""
    return _respond(ProbeAnswer(200, SCHEMA.read_bytes(), None, "application/schema+json"))


def scrape(request: Any) -> Response:
    """``GET /metrics``: for Prometheus. Reads the last results, runs no check."""
    return _respond(metrics.answer(request, health_of(request.registry)))


def status(request: Any) -> Response:
    """``GET /status``: the page for people."""
    health = health_of(request.registry)
    return status_page.respond(request, health, _readings(health, EVERY))


def refuse_method(_request: Any) -> Response:
    """Answer any other method with 405."""
    response = _respond(_error(405, "method not allowed; use GET or HEAD"))
    response.headers["Allow"] = "GET, HEAD"
    return response


def _readings(
    health: HealthRegistry,
    kinds: Collection[CheckKind],
    names: Collection[str] | None = None,
    group: Collection[str] | None = None,
) -> list[Reading]:
    """Return the readings of the checks, restricted to ``names`` and ``group`` where given.

    Runs the checks first if they do not run in the background.
    """
    if not health.settings.background:
        asked = names if names is not None else group
        health.runner.refresh(kinds, asked)
        if asked is None and set(DECIDING) <= set(kinds):
            health.observe()
    return [
        reading
        for reading in health.runner.readings()
        if (names is None or reading.check.name in names)
        and (group is None or reading.check.name in group)
    ]


def _names_in_query(
    request: Any, health: HealthRegistry, kinds: Collection[CheckKind]
) -> list[str] | None:
    """Return the checks in the query (``?check=a&check=b`` or ``?check=a,b``), ``None`` without.

    Raises `UnknownNameError` for a name that belongs to no check of ``kinds``.
    """
    given = parse_qs(request.environ.get("QUERY_STRING", ""), True, errors="replace").get("check")
    if given is None:
        return None
    names = list(dict.fromkeys(name.strip() for text in given for name in text.split(",")))
    known = [check.name for check in health.checks.values() if check.kind in kinds]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise _unknown_name(request, health, "check", unknown[0], known)
    return names


def _group_in_path(request: Any, health: HealthRegistry) -> frozenset[str] | None:
    """Return the names of the checks in the path's group, ``None`` if the path has no group.

    Raises `UnknownNameError` if there is no such group.
    """
    if "group" not in request.matchdict:
        return None
    name = request.matchdict["group"]
    names = health.groups().get(name)
    if names is None:
        raise _unknown_name(request, health, "group", name, sorted(health.groups()))
    return names


def _unknown_name(
    request: Any, health: HealthRegistry, what: str, name: str, known: list[str]
) -> UnknownNameError:
    # The full status shows these names anyway to those who may see details.
    if not may_see_details(request, health):
        return UnknownNameError(_error(404, f"there is no such {what} here"))
    shown = health.redactor.text(name, 64)
    names: list[Json] = [*known]
    return UnknownNameError(
        _error(404, f"there is no {what} {shown!r} here", **{f"{what}s": names})
    )


def _wants_health_json(request: Any) -> bool:
    """Whether the header Accept names application/health+json and prefers no other offer."""
    accept = request.accept
    named = any(str(one[0]).lower() == HEALTH_JSON and one[1] > 0 for one in accept.parsed or ())
    if not named:
        return False
    offers = accept.acceptable_offers([HEALTH_JSON, JSON])
    return bool(offers) and offers[0][0] == HEALTH_JSON


def _error(status: int, error: str, **more: Json) -> ProbeAnswer:
    return ProbeAnswer(status, encode({"error": error, **more}))


def _respond(answer: ProbeAnswer) -> Response:
    return Response(body=answer.body, status=answer.status, headerlist=answer.headers)
