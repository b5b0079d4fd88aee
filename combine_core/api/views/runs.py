"""Runs of lines."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from pyramid.httpexceptions import HTTPNotFound

from combine_core.api.shapes import Json, show_run
from combine_core.documents import versions_of_runs
from combine_core.llm import providers_of
from combine_core.runs import RunState, cancel_run, list_runs, read_run, start_run
from combine_core.web.problems import ProblemError

if TYPE_CHECKING:
    from pyramid.request import Request

    from combine_core.access import ProjectContext, RunContext


def list_(context: ProjectContext, request: Request) -> Json:
    """GET /projects/{slug}/runs."""
    page = list_runs(
        request.dbsession, context.project.id, **request.openapi_validated.parameters.query
    )
    written = versions_of_runs(request.dbsession, [run.id for run in page.items])
    return {"items": [show_run(run, written) for run in page.items], "next": page.next}


def start(context: ProjectContext, request: Request) -> Json:
    """POST /projects/{slug}/runs."""
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
    )
    request.response.status_int = 201
    request.response.location = request.route_path("api.run", id=run.id)
    return _show(request, run.id)


def get(context: RunContext, request: Request) -> Json:
    """GET /runs/{id}."""
    return _show(request, context.run_id)


def cancel(context: RunContext, request: Request) -> Json:
    """POST /runs/{id}/cancel."""
    cancelled = cancel_run(request.dbsession, context.run_id)
    shown = _show(request, context.run_id)
    if not cancelled and shown["state"] != RunState.CANCELLED:
        raise ProblemError(409, f"The run has already {shown['state']}.")
    return shown


def _show(request: Request, run_id: uuid.UUID) -> Json:
    run = read_run(request.dbsession, run_id)
    if run is None:
        raise HTTPNotFound
    return show_run(run, versions_of_runs(request.dbsession, [run_id]))
