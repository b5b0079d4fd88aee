"""API endpoints for lines, their runs and calls, and the costs of a project."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPNoContent, HTTPNotFound
from pyramid.request import Request
from sqlalchemy.orm import Session

from combine_core.access import ProjectContext, RunContext, SignedIn
from combine_core.api.serializers import (
    Json,
    show_call,
    show_line,
    show_monthly_cost,
    show_plan,
    show_run,
    show_sums,
    show_whole_call,
)
from combine_core.database import Page
from combine_core.deletion import delete_run, plan_run
from combine_core.documents import documents_of_runs
from combine_core.lines import UnknownLine, find_line, list_lines
from combine_core.llm import providers_of
from combine_core.runs import (
    CallSums,
    ListedRun,
    RunState,
    cancel_run,
    costs_of_project,
    estimate_run,
    find_call,
    find_run,
    inputs_of_runs,
    limits_of,
    list_calls,
    list_runs,
    read_texts,
    start_run,
    steps_of_runs,
    sums_of_runs,
)
from combine_core.settings import settings_of
from combine_core.settings.core import CoreSettings
from combine_core.users import Permission, UserAction, report_action
from combine_core.web.endpoints import View, or_not_found, show_page
from combine_core.web.memory_budget import hold_memory
from combine_core.web.problems import ProblemError


def list_all_lines(context: SignedIn, request: Request) -> Json:  # noqa: ARG001
    page = list_lines(**request.openapi_validated.parameters.query)
    return show_page(request, page, show_line)


def get_line(context: SignedIn, request: Request) -> Json:  # noqa: ARG001
    try:
        return show_line(find_line(request.matchdict["name"]))
    except UnknownLine as error:
        raise HTTPNotFound from error


def list_runs_of(context: ProjectContext, request: Request) -> Json:
    page = list_runs(
        request.dbsession, context.project.id, **request.openapi_validated.parameters.query
    )
    shown = show_runs(request.dbsession, page.items)
    return show_page(request, Page(shown, page.next), lambda run: run)


def show_runs(session: Session, runs: Sequence[ListedRun]) -> list[Json]:
    """Return the runs in the format of the API, with the same number of queries for any number of runs."""
    ids = [run.id for run in runs]
    steps, inputs = steps_of_runs(session, ids), inputs_of_runs(session, ids)
    documents, sums = documents_of_runs(session, ids), sums_of_runs(session, ids)
    return [
        show_run(
            run,
            steps[run.id],
            inputs[run.id],
            documents[run.id],
            sums.get(run.id, CallSums()),
        )
        for run in runs
    ]


def estimate(context: ProjectContext, request: Request) -> Json:
    body = request.openapi_validated.body
    providers = providers_of(request.registry)
    estimated = estimate_run(
        request.dbsession,
        context.project.id,
        body["line"],
        body["sources"],
        model=body.get("model", providers.default_model),
        providers=providers,
        limits=limits_of(settings_of(request.registry, CoreSettings)),
    )
    return asdict(estimated)


def start(context: ProjectContext, request: Request) -> Json:
    body = request.openapi_validated.body
    providers = providers_of(request.registry)
    run = start_run(
        request.dbsession,
        context.project.id,
        body["line"],
        body["sources"],
        context.identity.user_id,
        model=body.get("model", providers.default_model),
        providers=providers,
        limits=limits_of(settings_of(request.registry, CoreSettings)),
    )
    request.response.status_int = 201
    request.response.location = request.route_path("api.run", id=run.id)
    return _show(request, run.id)


def get_run(context: RunContext, request: Request) -> Json:
    return _show(request, context.run_id)


def cancel(context: RunContext, request: Request) -> Json:
    cancelled = cancel_run(request.dbsession, context.run_id)
    shown = _show(request, context.run_id)
    if not cancelled and shown["state"] != RunState.CANCELLED:
        raise ProblemError(409, f"The run has already {shown['state']}.")
    return shown


def get_deletion(context: RunContext, request: Request) -> Json:
    return show_plan(plan_run(request.dbsession, context.run_id))


def delete(context: RunContext, request: Request) -> HTTPNoContent:
    plan = delete_run(request.dbsession, context.run_id)
    report_action(request, UserAction("run-delete", f"run:{context.run_id}", plan.takes))
    return HTTPNoContent()


def _show(request: Request, run_id: uuid.UUID) -> Json:
    run = or_not_found(find_run(request.dbsession, run_id))
    return show_runs(request.dbsession, [run])[0]


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
    add = partial(config.add_endpoint, factory=RunContext, openapi=True)
    config.add_endpoint(
        "api.lines",
        "/lines",
        View("GET", list_all_lines, Permission.PROJECTS_READ),
        factory=SignedIn,
        openapi=True,
    )
    config.add_endpoint(
        "api.line",
        "/lines/{name}",
        View("GET", get_line, Permission.PROJECTS_READ),
        factory=SignedIn,
        openapi=True,
    )
    config.add_endpoint(
        "api.runs",
        "/projects/{slug}/runs",
        View("GET", list_runs_of, Permission.RUNS_READ),
        View("POST", start, Permission.RUNS_WRITE),
        factory=ProjectContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.run_estimate",
        "/projects/{slug}/runs/estimate",
        View("POST", estimate, Permission.RUNS_WRITE),
        factory=ProjectContext,
        openapi=True,
    )
    add(
        "api.run",
        "/runs/{id}",
        View("GET", get_run, Permission.RUNS_READ),
        View("DELETE", delete, Permission.RUNS_WRITE, if_match=get_run),
    )
    add("api.run_deletion", "/runs/{id}/deletion", View("GET", get_deletion, Permission.RUNS_READ))
    add(
        "api.run_cancel",
        "/runs/{id}/cancel",
        View("POST", cancel, Permission.RUNS_WRITE, if_match=get_run),
    )
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
