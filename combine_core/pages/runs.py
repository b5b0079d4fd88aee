"""The pages of runs, of their calls, and of the costs of a project."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request

from combine_core.access import ProjectContext, RunContext
from combine_core.documents import versions_of_run
from combine_core.runs import (
    Run,
    RunState,
    Step,
    StepState,
    cancel_run,
    costs_of_project,
    find_call,
    list_calls,
    read_run,
    read_texts,
    sums_of_run,
    sums_of_steps,
)
from combine_core.users import Permission
from combine_core.web.endpoints import View, or_not_found
from combine_core.web.forms import Form
from combine_core.web.memory_budget import hold_memory

# The interval at which the page polls until the run ends.
POLL_MS = 1_500
_LIVE = {RunState.RUNNING, RunState.WAITING, RunState.PAUSED}
# Remedies for the error codes whose message does not contain one.
_OPERATORS = "the operators of this service"
_REMEDIES = {
    "auth": f"The provider rejects the service's API key. Ask {_OPERATORS} to check it, or run again"
    " with another model.",
    "rate_limited": "The provider rejected requests for too long, because there were too many. Run"
    " again later, or with another model.",
    "overloaded": "The provider was overloaded for too long. Run again later, or with another"
    " model.",
    "timeout": "The provider did not answer in time. Run again, with fewer sources or with another"
    " model.",
    "unreachable": "The provider could not be reached. Run again later. If it fails again, ask"
    f" {_OPERATORS} to check the network.",
    "server_error": "The provider failed. Run again later, or with another model.",
    "bad_request": "The provider rejected the request. Run again with fewer or shorter sources, or"
    " with another model.",
    "incomplete": "The documents lack these sources. Run again: sources that were read already cost"
    " nothing.",
    "source_unreadable": "Open the source, add a file that can be read, and run again.",
    "unknown_model": "Run again with a model that the provider has.",
    "internal": "This is a fault of the service. Run again. If it fails again, give"
    f" {_OPERATORS} the number of the step above.",
    "worker_lost": "Run again with fewer or shorter sources. If it fails again, give"
    f" {_OPERATORS} the number of the step above.",
}


def show_run(context: RunContext, request: Request) -> dict[str, Any]:
    """Show a run. The route ``pages.run_live`` renders only the part that changes until the run ends."""
    run = or_not_found(read_run(request.dbsession, context.run_id))
    session, cursor = request.dbsession, request.GET.get("calls")
    return {
        "project": context.project,
        "run": run,
        "calls": list_calls(session, run.id, cursor=cursor),
        "cursor": cursor,
        "sums": sums_of_run(session, run.id),
        "step_sums": sums_of_steps(session, run.id),
        "live": run.state in _LIVE,
        "done": sum(step.state == StepState.DONE for step in run.steps),
        "seconds": _seconds(run),
        "step_seconds": {step.key: _seconds(step) for step in run.steps},
        "adopted": any(step.adopted for step in run.steps),
        "remedies": _REMEDIES,
        "versions": versions_of_run(session, run.id),
        "poll_ms": POLL_MS,
        "may_run": bool(request.has_permission(Permission.RUNS_WRITE)),
    }


def cancel(context: RunContext, request: Request) -> HTTPSeeOther:
    """Cancel the run, unless it has ended."""
    cancel_run(request.dbsession, context.run_id)
    return HTTPSeeOther(request.route_path("pages.run", id=context.run_id))


def _seconds(timed: Run | Step) -> float | None:
    """Return the duration so far or in total, or ``None`` if it has not started."""
    begin = timed.created_at if isinstance(timed, Run) else timed.started_at
    if begin is None:
        return None
    return ((timed.ended_at or datetime.now(UTC)) - begin).total_seconds()


def show_call(context: RunContext, request: Request) -> dict[str, Any]:
    """Show a call. Its texts contain the text of sources, which not every token may read."""
    call = or_not_found(
        find_call(request.dbsession, context.run_id, uuid.UUID(request.matchdict["call_id"]))
    )
    may_read = bool(request.has_permission(Permission.SOURCES_READ))
    texts: dict[str, str | None] = {}
    if may_read:
        read_texts(request.dbsession, call, partial(hold_memory, request))
        # Rules do not use the instructions of the line, even if the journal contains them.
        sent = {} if call.used_llm is False else call.request or {}
        texts = {
            "Instructions": sent.get("system"),
            "Prompt": sent.get("prompt"),
            "Answer": call.response,
        }
    return {
        "project": context.project,
        "call": call,
        "may_read": may_read,
        "texts": {title: text for title, text in texts.items() if text},
    }


def show_costs(context: ProjectContext, request: Request) -> dict[str, Any]:
    """Show the costs by month and model, from the day ``?from=`` to the day before ``?until=``."""
    form = Form({name: request.GET.get(name, "").strip() for name in ("from", "until")})
    days: dict[str, date | None] = {}
    for name in ("from", "until"):
        text = form.value(name)
        try:
            days[name] = date.fromisoformat(text) if text else None
        except ValueError:
            form = form.with_error(name, "Enter a date such as 2026-11-01.")
    if form.errors:
        request.response.status_int = 400
        days = {"from": None, "until": None}
    costs = costs_of_project(
        request.dbsession, context.project.id, first=days["from"], until=days["until"]
    )
    return {"project": context.project, "costs": costs, "form": form}


def includeme(config: Configurator) -> None:
    """Add the pages."""
    config.add_endpoint(
        "pages.run",
        "/runs/{id}",
        View("GET", show_run, Permission.RUNS_READ, renderer="combine_core:pages/run.jinja2"),
        View("POST", cancel, Permission.RUNS_WRITE, form="cancel"),
        factory=RunContext,
    )
    config.add_endpoint(
        "pages.run_live",
        "/runs/{id}/live",
        View("GET", show_run, Permission.RUNS_READ, renderer="combine_core:pages/run_live.jinja2"),
        factory=RunContext,
    )
    config.add_endpoint(
        "pages.call",
        "/runs/{id}/calls/{call_id}",
        View("GET", show_call, Permission.RUNS_READ, renderer="combine_core:pages/call.jinja2"),
        factory=RunContext,
    )
    config.add_endpoint(
        "pages.costs",
        "/projects/{slug}/costs",
        View("GET", show_costs, Permission.RUNS_READ, renderer="combine_core:pages/costs.jinja2"),
        factory=ProjectContext,
    )
