"""The first page: the asker's projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPSeeOther

from combine_core.pages.repeats import repeated_project, take_turns
from combine_core.projects import create_project, list_projects
from combine_core.text import InvalidText, clean_name
from combine_core.users import Permission
from combine_core.web.forms import Form, sentence, text_of

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request

    from combine_core.access import SignedIn

_TEMPLATE = "combine_core:pages/project_list.jinja2"


def includeme(config: Configurator) -> None:
    """Add the views."""
    config.add_view(
        go_to_projects,
        route_name="pages.home",
        request_method="GET",
        permission=Permission.PROJECTS_READ,
    )
    config.add_view(
        show_projects,
        route_name="pages.projects",
        request_method="GET",
        permission=Permission.PROJECTS_READ,
        renderer=_TEMPLATE,
    )
    config.add_view(
        make_project,
        route_name="pages.projects",
        request_method="POST",
        permission=Permission.PROJECTS_WRITE,
        renderer=_TEMPLATE,
    )


def go_to_projects(request: Request) -> HTTPSeeOther:
    """The service begins with the projects."""
    return HTTPSeeOther(request.route_path("pages.projects"))


def show_projects(context: SignedIn, request: Request) -> dict[str, Any]:
    """The asker's projects, newest first."""
    return _page(context, request, Form())


def make_project(context: SignedIn, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Make a project and go there."""
    form = Form({"name": text_of(request, "name")})
    user_id = context.identity.user_id
    try:
        name = clean_name(form.value("name"))
    except InvalidText as error:
        request.response.status_int = 400
        return _page(context, request, form.with_error("name", sentence(error)))
    take_turns(request.dbsession, user_id)
    project = repeated_project(request.dbsession, name, user_id)
    if project is None:
        project = create_project(request.dbsession, name, user_id)
    return HTTPSeeOther(request.route_path("pages.project", slug=project.slug))


def _page(context: SignedIn, request: Request, form: Form) -> dict[str, Any]:
    cursor = request.GET.get("cursor")
    page = list_projects(request.dbsession, context.identity.user_id, cursor=cursor)
    return {"page": page, "cursor": cursor, "form": form}
