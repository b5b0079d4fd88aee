"""API endpoints for the calls of a run and for the costs of a project."""

from __future__ import annotations

import uuid
from functools import partial

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request

from combine_core.access import ProjectContext, RunContext
from combine_core.api.serializers import (
    Json,
    show_call,
    show_monthly_cost,
    show_sums,
    show_whole_call,
)
from combine_core.runs import costs_of_project, find_call, list_calls, read_texts
from combine_core.users import Permission
from combine_core.web.endpoints import View, or_not_found
from combine_core.web.memory_budget import hold_memory
from combine_core.web.paging import show_page


def list_calls_of(context: RunContext, request: Request) -> Json:
    page = list_calls(
        request.dbsession, context.run_id, **request.openapi_validated.parameters.query
    )
    return show_page(request, page, show_call)


def get_call(context: RunContext, request: Request) -> Json:
    # The prompt contains the text of sources, and a token may have the scope runs:read without sources:read.
    allowed = request.has_permission(Permission.SOURCES_READ)
    if not allowed:
        raise HTTPForbidden(result=allowed)
    call = or_not_found(
        find_call(request.dbsession, context.run_id, uuid.UUID(request.matchdict["call_id"]))
    )
    read_texts(request.dbsession, call, partial(hold_memory, request))
    return show_whole_call(call)


def get_costs(context: ProjectContext, request: Request) -> Json:
    query = request.openapi_validated.parameters.query
    costs = costs_of_project(
        request.dbsession, context.project.id, first=query.get("from"), until=query.get("until")
    )
    return {
        "from": costs.first.isoformat(),
        "until": costs.until and costs.until.isoformat(),
        "items": [show_monthly_cost(entry) for entry in costs.models],
        "complete": costs.complete,
        "total": show_sums(costs.total),
    }


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    config.add_endpoint(
        "api.calls",
        "/runs/{id}/calls",
        View("GET", list_calls_of, Permission.RUNS_READ),
        factory=RunContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.call",
        "/runs/{id}/calls/{call_id}",
        View("GET", get_call, Permission.RUNS_READ),
        factory=RunContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.costs",
        "/projects/{slug}/costs",
        View("GET", get_costs, Permission.RUNS_READ),
        factory=ProjectContext,
        openapi=True,
    )
