"""The endpoints. They pick what `report` made; no session, no transaction, no sign-in."""

from collections.abc import Collection
from time import monotonic
from typing import Any

from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from . import report
from .access import may_see_details
from .check import Kind
from .registry import HealthRegistry, health_of
from .report import Answer
from .result import Json
from .state import Reading
from .version import __version__

DECIDING = (Kind.LIVE, Kind.READY, Kind.STARTUP)


def live(request: Any) -> Response:
    """``GET /health``: is the process alive."""
    health = health_of(request.registry)
    return _respond(report.live(_readings(health, (Kind.LIVE,)), health.circumstances()))


def ready(request: Any) -> Response:
    """``GET /health/ready``: should requests come here."""
    health = health_of(request.registry)
    return _respond(report.ready(_readings(health, DECIDING), health.circumstances()))


def startup(request: Any) -> Response:
    """``GET /health/startup``: has the process come up."""
    health = health_of(request.registry)
    return _respond(report.startup(_readings(health, (Kind.STARTUP,))))


def detailed(request: Any) -> Response:
    """``GET /health/detailed``: the full status; 200 whenever it can be told."""
    health = health_of(request.registry)
    readings = _readings(health, tuple(Kind))
    circumstances = health.circumstances()
    if not may_see_details(request, health.settings.details):
        return _respond(
            Answer(200, report.encode(report.names_and_statuses(readings, circumstances)))
        )
    facts: dict[str, Json] = {
        "version": health.settings.version or __version__,
        "environment": health.settings.environment,
        "uptime_seconds": round(monotonic() - health.started, 1),
    }
    sections = report.read_sections(health.sections, request.registry, health.redactor)
    return _respond(
        Answer(200, report.encode(report.detailed(readings, circumstances, facts, sections)))
    )


def refuse(_request: Any) -> Response:
    """Any other method."""
    response = _respond(
        Answer(405, report.encode({"error": "method not allowed; use GET or HEAD"}))
    )
    response.headers["Allow"] = "GET, HEAD"
    return response


def add_views(config: Any) -> None:
    """Register the routes and their views."""
    for name, pattern, view in (
        ("health", "/health", live),
        ("health_ready", "/health/ready", ready),
        ("health_startup", "/health/startup", startup),
        ("health_detailed", "/health/detailed", detailed),
    ):
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


def _readings(health: HealthRegistry, kinds: Collection[Kind]) -> list[Reading]:
    if not health.settings.background:
        health.runner.refresh(kinds)
    return health.runner.readings()


def _respond(answer: Answer) -> Response:
    return Response(body=answer.body, status=answer.status, headerlist=answer.headers)
