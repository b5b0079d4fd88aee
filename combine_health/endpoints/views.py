"""The endpoints. They pick what `report` and `details` made; no session, no sign-in."""

from collections.abc import Callable, Collection
from functools import wraps
from importlib.resources import files
from typing import Any, TypeAlias

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_health.endpoints import details, health_json, metrics, status_page
from combine_health.endpoints.access import may_see_details
from combine_health.endpoints.question import (
    NotThere,
    group_asked,
    is_named,
    names_asked,
    refusal,
    respond,
    wants_health_json,
)
from combine_health.engine import report
from combine_health.engine.check import Kind
from combine_health.engine.registry import HealthRegistry, health_of
from combine_health.engine.report import Answer, Probe
from combine_health.engine.state import Reading
from combine_health.settings import HealthSettings

View: TypeAlias = Callable[[Any], Response]

DECIDING = (Kind.LIVE, Kind.READY, Kind.STARTUP)
EVERY = tuple(Kind)
SCHEMA = files("combine_health.endpoints").joinpath("detailed.schema.json")
SCHEMA_PATH = "/health/detailed/schema"


def _endpoint(view: View) -> View:
    @wraps(view)
    def answering(request: Any) -> Response:
        try:
            return view(request)
        except NotThere as error:
            return respond(error.answer)

    return answering


@_endpoint
def live(request: Any) -> Response:
    """``GET /health``: is the process alive."""
    health = health_of(request.registry)
    names = names_asked(request, health, (Kind.LIVE,))
    readings = _readings(health, (Kind.LIVE,), names)
    probe = report.live(map(report.asked, readings) if names else readings, health.circumstances())
    return _tell(request, probe, readings if names else ())


@_endpoint
def ready(request: Any) -> Response:
    """``GET /health/ready`` and ``/health/ready/GROUP``: should requests come here."""
    health = health_of(request.registry)
    group = group_asked(request, health)
    names = names_asked(request, health, EVERY)
    readings = _readings(health, EVERY if names else DECIDING, names, group)
    judged = [report.asked(one) for one in readings] if names else readings
    probe = report.ready(judged, health.circumstances())
    return _tell(request, probe, readings if names or group is not None else ())


@_endpoint
def startup(request: Any) -> Response:
    """``GET /health/startup``: has the process come up."""
    health = health_of(request.registry)
    names = names_asked(request, health, (Kind.STARTUP,))
    readings = _readings(health, (Kind.STARTUP,), names)
    probe = report.startup(map(report.asked, readings) if names else readings)
    return _tell(request, probe, readings if names else ())


@_endpoint
def detailed(request: Any) -> Response:
    """``GET /health/detailed``: the full status; 200 whenever it can be told."""
    health = health_of(request.registry)
    names = names_asked(request, health, EVERY)
    readings = _readings(health, EVERY, names)
    circumstances = health.circumstances()
    as_health_json = wants_health_json(request)
    if not may_see_details(request, health):
        if as_health_json:
            return respond(health_json.names_and_statuses(readings, circumstances))
        return respond(
            Answer(200, report.encode(details.names_and_statuses(readings, circumstances)))
        )
    sections = details.read_sections(health.sections, request.registry, health.redactor)
    if as_health_json:
        return respond(health_json.detailed(health, readings, circumstances, sections))
    body = details.detailed(health, readings, circumstances, sections)
    response = respond(Answer(200, report.encode(body)))
    response.headers["Link"] = f'<{health.prefix}{SCHEMA_PATH}>; rel="describedby"'
    return response


def schema(_request: Any) -> Response:
    """``GET /health/detailed/schema``: the JSON Schema of the full status."""
    return respond(Answer(200, SCHEMA.read_bytes(), None, "application/schema+json"))


def scrape(request: Any) -> Response:
    """``GET /metrics``: for Prometheus; reads what the checks found, runs none."""
    return respond(metrics.answer(request, health_of(request.registry)))


def status(request: Any) -> Response:
    """``GET /status``: the page for people."""
    health = health_of(request.registry)
    readings = _readings(health, EVERY)
    return status_page.respond(request, health, readings)


def refuse(_request: Any) -> Response:
    """Any other method."""
    response = respond(refusal(405, "method not allowed; use GET or HEAD"))
    response.headers["Allow"] = "GET, HEAD"
    return response


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
    # What is switched off leaves its path to the application.
    if settings.metrics != "never":
        routes.append(("health_metrics", "/metrics", scrape))
    if settings.status_page:
        routes.append(("health_status", "/status", status))
    for name, pattern, view in routes:
        config.add_route(name, pattern, factory=HealthContext)
        for function, methods in ((view, ("GET", "HEAD")), (refuse, None)):
            config.add_view(
                function,
                route_name=name,
                request_method=methods,
                permission=NO_PERMISSION_REQUIRED,
                require_csrf=False,
            )


class HealthContext:
    """The context of the endpoints: the application's root factory may look at the database."""

    def __init__(self, request: Any) -> None:
        """Take nothing from the request."""


def _readings(
    health: HealthRegistry,
    kinds: Collection[Kind],
    names: Collection[str] | None = None,
    group: Collection[str] | None = None,
) -> list[Reading]:
    """The checks as they stand, those of other names left out; run now if that is the way."""
    if not health.settings.background:
        asked = names if names is not None else group
        health.runner.refresh(kinds, asked)
        if asked is None and set(DECIDING) <= set(kinds):
            health.observe()
    return [
        one
        for one in health.runner.readings()
        if is_named(one.check, names) and is_named(one.check, group)
    ]


def _tell(request: Any, probe: Probe, named: Collection[Reading]) -> Response:
    probe = probe.naming(named)
    if wants_health_json(request):
        return respond(health_json.probe_answer(probe))
    return respond(report.plain(probe))
