"""API endpoint for full-text search in a project."""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request

from combine_core.access import ProjectContext
from combine_core.api.serializers import Json, show_found
from combine_core.search import EntryKind, search
from combine_core.search.indexing import is_indexing
from combine_core.users import Permission
from combine_core.web.endpoints import View, show_page


def search_project(context: ProjectContext, request: Request) -> Json:
    query = dict(request.openapi_validated.parameters.query)
    kind = query.pop("kind", None)
    kinds = list(EntryKind) if kind is None else [EntryKind(kind)]
    # A token may have the scope sources:read without documents:read.
    allowed = request.has_permission(Permission.DOCUMENTS_READ)
    if not allowed:
        if kind == EntryKind.STATEMENT:
            raise HTTPForbidden(result=allowed)
        kinds = [EntryKind.SOURCE]
    session, project_id = request.dbsession, context.project.id
    page = search(session, project_id, query.pop("q"), kinds=kinds, **query)
    return {
        **show_page(request, page, show_found),
        "complete": not is_indexing(session, project_id),
    }


def includeme(config: Configurator) -> None:
    """Add the endpoint."""
    config.add_endpoint(
        "api.search",
        "/projects/{slug}/search",
        View("GET", search_project, Permission.SOURCES_READ),
        factory=ProjectContext,
        openapi=True,
    )
