"""Projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from combine_core.api.shapes import Json, show_page, show_project
from combine_core.projects import create_project, list_projects

if TYPE_CHECKING:
    from pyramid.request import Request

    from combine_core.access import ProjectContext, SignedIn


def list_(context: SignedIn, request: Request) -> Json:
    """GET /projects."""
    page = list_projects(
        request.dbsession, context.identity.user_id, **request.openapi_validated.parameters.query
    )
    return show_page(page, show_project)


def create(context: SignedIn, request: Request) -> Json:
    """POST /projects."""
    body = request.openapi_validated.body
    project = create_project(request.dbsession, body["name"], context.identity.user_id)
    request.response.status_int = 201
    request.response.location = request.route_path("api.project", slug=project.slug)
    return show_project(project)


def get(context: ProjectContext, request: Request) -> Json:  # noqa: ARG001
    """GET /projects/{slug}."""
    return show_project(context.project)
