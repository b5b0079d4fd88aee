"""The page of a call with its prompt and answer, and the page of a project's costs."""

from __future__ import annotations

import datetime
import uuid
from functools import partial
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

from combine_core.access import ProjectContext, RunContext
from combine_core.runs import costs_of_project, find_call, read_texts
from combine_core.users import Permission
from combine_core.web.endpoints import View, or_not_found
from combine_core.web.forms import Form
from combine_core.web.memory_budget import hold_memory


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
    days: dict[str, datetime.date | None] = {}
    for name in ("from", "until"):
        text = form.value(name)
        try:
            days[name] = datetime.date.fromisoformat(text) if text else None
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
