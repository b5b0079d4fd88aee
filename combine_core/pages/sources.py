"""The page of a source: its numbered lines, which evidence points to."""

from __future__ import annotations

import re
import uuid
from functools import partial
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

from combine_core.access import ProjectContext
from combine_core.sources import read_source
from combine_core.users import Permission
from combine_core.web.endpoints import View
from combine_core.web.memory_budget import hold_memory

# Bounds the cost of one page. Browsers cannot show a million lines anyway.
LINES_ON_PAGE = 2_000

_LINES = re.compile(r"([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?")


def evidence_path(request: Request, slug: str, source_id: str, line_from: int, line_to: int) -> str:
    """The path of the page that shows and marks these lines of the source."""
    path: str = request.route_path(
        "pages.source",
        slug=slug,
        source_id=source_id,
        _query={"lines": f"{line_from}-{line_to}"},
        _anchor=f"L{line_from}",
    )
    return path


def show_source(context: ProjectContext, request: Request) -> dict[str, Any]:
    """The part of the source with the lines ``?lines=3-7``, marked, or with the line ``?from=2001``."""
    source_id = uuid.UUID(request.matchdict["source_id"])
    source = read_source(
        request.dbsession, context.project.id, source_id, partial(hold_memory, request)
    )
    if source is None:
        raise HTTPNotFound
    cited = _range(request.GET.get("lines", ""))
    start = cited.start if cited else _range(request.GET.get("from", "")).start
    first = (min(max(start, 1), source.line_count) - 1) // LINES_ON_PAGE * LINES_ON_PAGE
    count = min(LINES_ON_PAGE, source.line_count - first)
    shown = list(enumerate(_lines(source.text, first, count), first + 1))
    following = first + LINES_ON_PAGE
    return {
        "project": context.project,
        "source": source,
        "lines": shown,
        "cited": cited,
        "previous": first - LINES_ON_PAGE + 1 if first else None,
        "following": following + 1 if following < source.line_count else None,
    }


def _lines(text: str, first: int, count: int) -> list[str]:
    """Some lines of a text. To split all of it would take many times its memory."""
    start = 0
    for _ in range(first):
        start = text.index("\n", start) + 1
    lines = []
    for _ in range(count):
        end = text.find("\n", start)
        lines.append(text[start : end if end >= 0 else len(text)])
        start = end + 1
    return lines


def _range(text: str) -> range:
    """The line numbers of ``3-7`` or ``3``; empty for anything else."""
    match = _LINES.fullmatch(text)
    return range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)


def includeme(config: Configurator) -> None:
    """Add the page."""
    config.add_endpoint(
        "pages.source",
        "/projects/{slug}/sources/{source_id}",
        View(
            "GET", show_source, Permission.SOURCES_READ, renderer="combine_core:pages/source.jinja2"
        ),
        factory=ProjectContext,
    )
