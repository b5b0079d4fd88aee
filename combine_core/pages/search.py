"""The page that searches in a project."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

from combine_core.access import ProjectContext
from combine_core.search import EntryKind, SearchHit, search
from combine_core.search.indexing import is_indexing
from combine_core.text import InvalidText
from combine_core.users import Permission
from combine_core.web.endpoints import View
from combine_core.web.forms import Form, sentence

_TEMPLATE = "combine_core:pages/search.jinja2"


def show_search(context: ProjectContext, request: Request) -> dict[str, Any]:
    """Show the form and the results of ``?q=harbour``. ``&kind=source`` searches only the sources."""
    session, project_id = request.dbsession, context.project.id
    # A token may have the scope sources:read without documents:read.
    kinds = [EntryKind.SOURCE]
    if request.has_permission(Permission.DOCUMENTS_READ):
        kinds.append(EntryKind.STATEMENT)
    kind = request.GET.get("kind", "")
    form = Form({"q": request.GET.get("q", ""), "kind": kind if kind in kinds else ""})
    page = None
    if "q" in request.GET:
        try:
            page = search(
                session,
                project_id,
                form.value("q"),
                kinds=[kind for kind in kinds if form.value("kind") in ("", kind)],
                cursor=request.GET.get("cursor"),
            )
        except InvalidText as error:
            request.response.status_int = 400
            form = form.with_error("q", sentence(error))
    return {
        "project": context.project,
        "form": form,
        "kinds": kinds,
        "page": page,
        "complete": page is None or not is_indexing(session, project_id),
        "path_of": lambda found: _path_of(request, context.project.slug, found),
    }


def _path_of(request: Request, slug: str, found: SearchHit) -> str:
    path: str
    if found.kind is EntryKind.STATEMENT:
        path = request.route_path(
            "pages.version", id=found.id, number=found.number, _anchor=found.pointer
        )
    else:
        path = request.route_path(
            "pages.source",
            slug=slug,
            source_id=found.id,
            _query={"revision": found.revision, "lines": f"{found.line_from}-{found.line_to}"},
            _anchor=f"L{found.line_from}",
        )
    return path


def includeme(config: Configurator) -> None:
    """Add the page."""
    config.add_endpoint(
        "pages.search",
        "/projects/{slug}/search",
        View("GET", show_search, Permission.SOURCES_READ, renderer=_TEMPLATE),
        factory=ProjectContext,
    )
