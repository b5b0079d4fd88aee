"""A run: where it stands, its steps, what it cost and what it wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther

from combine_core.documents import versions_of_run
from combine_core.runs import Run, RunState, Step, StepState, cancel_run, read_run
from combine_core.users import Permission

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request

    from combine_core.access import RunContext

# How often a page asks while the run goes on.
POLL_MS = 1_500

_LIVE = {RunState.RUNNING, RunState.WAITING, RunState.PAUSED}

# What to do about a failed step, for the codes whose message alone does not say it.
_ASK = "the people who run this service"
_REMEDIES = {
    "auth": f"The provider refuses the service's API key. Ask {_ASK} to check it, or run again with"
    " another model.",
    "rate_limited": "The provider turned the requests away for too long. Run again later, or with"
    " another model.",
    "overloaded": "The provider was overloaded for too long. Run again later, or with another"
    " model.",
    "timeout": "The provider did not answer in time. Run again, with fewer sources or with another"
    " model.",
    "unreachable": "The provider could not be reached. Run again later. If it lasts, ask"
    f" {_ASK} to check its network.",
    "server_error": "The provider failed. Run again later, or with another model.",
    "bad_request": "The provider refused the request. Run again with fewer or shorter sources, or"
    " with another model.",
    "unknown_model": "Run again with a model that the provider has.",
    "internal": f"It is a fault of the service. Run again. If it fails again, give {_ASK} the number"
    " of the step above.",
    "worker_lost": "Run again with fewer or shorter sources. If it fails again, give"
    f" {_ASK} the number of the step above.",
}


def includeme(config: Configurator) -> None:
    """Add the views."""
    config.add_view(
        show_run,
        route_name="pages.run",
        request_method="GET",
        permission=Permission.RUNS_READ,
        renderer="combine_core:pages/run.jinja2",
    )
    config.add_view(
        show_run,
        route_name="pages.run_live",
        request_method="GET",
        permission=Permission.RUNS_READ,
        renderer="combine_core:pages/run_live.jinja2",
    )
    config.add_view(
        cancel,
        route_name="pages.run",
        request_method="POST",
        request_param="form=cancel",
        permission=Permission.RUNS_WRITE,
    )


def show_run(context: RunContext, request: Request) -> dict[str, Any]:
    """The run; the second address gives only the part that changes while it goes on."""
    run = read_run(request.dbsession, context.run_id)
    if run is None:
        raise HTTPNotFound
    return {
        "project": context.project,
        "run": run,
        "live": run.state in _LIVE,
        "done": sum(step.state == StepState.DONE for step in run.steps),
        "seconds": _seconds(run),
        "step_seconds": {step.key: _seconds(step) for step in run.steps},
        "used_llm": any(step.used_llm for step in run.steps),
        "remedies": _REMEDIES,
        "versions": versions_of_run(request.dbsession, run.id),
        "poll_ms": POLL_MS,
        "may_run": bool(request.has_permission(Permission.RUNS_WRITE)),
    }


def cancel(context: RunContext, request: Request) -> HTTPSeeOther:
    """End the run; one that has ended stays as it is."""
    cancel_run(request.dbsession, context.run_id)
    return HTTPSeeOther(request.route_path("pages.run", id=context.run_id))


def _seconds(timed: Run | Step) -> float | None:
    """How long it took, or has taken by now; ``None`` before it began."""
    begin = timed.created_at if isinstance(timed, Run) else timed.started_at
    if begin is None:
        return None
    return ((timed.ended_at or datetime.now(UTC)) - begin).total_seconds()
