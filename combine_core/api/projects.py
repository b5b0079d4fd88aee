"""API endpoints for the signed-in user, for projects and for their members."""

from __future__ import annotations

import uuid
from functools import partial

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNoContent
from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_core.access import ProjectContext, SignedIn
from combine_core.api.serializers import Json, show_me, show_member, show_plan, show_project
from combine_core.deletion import delete_project, plan_project
from combine_core.projects import Project, change_project, create_project, list_projects
from combine_core.projects.members import change_role, list_members, read_member, remove_member
from combine_core.users import Permission, Role, UserAction, report_action
from combine_core.web.endpoints import View, show_page


def get_me(context: SignedIn, request: Request) -> Json:  # noqa: ARG001
    return show_me(context.identity)


def list_own_projects(context: SignedIn, request: Request) -> Json:
    page = list_projects(
        request.dbsession, context.identity.user_id, **request.openapi_validated.parameters.query
    )
    return show_page(request, page, show_project)


def create(context: SignedIn, request: Request) -> Json:
    body = request.openapi_validated.body
    project = create_project(request.dbsession, body["name"], context.identity.user_id)
    request.response.status_int = 201
    request.response.location = request.route_path("api.project", slug=project.slug)
    return show_project(project)


def get_project(context: ProjectContext, request: Request) -> Json:  # noqa: ARG001
    return show_project(context.project)


def change(context: ProjectContext, request: Request) -> Json:
    body = request.openapi_validated.body
    project = request.dbsession.get_one(Project, context.project.id)
    change_project(request.dbsession, project, **body)
    report_action(
        request,
        UserAction("project-change", f"project:{context.project.id}", {"changed": list(body)}),
    )
    return show_newest(context, request)


def show_newest(context: ProjectContext, request: Request) -> Json:
    """Return the project from the database. ``context.project`` is its state at the start of the request."""
    return show_project(request.dbsession.get_one(Project, context.project.id))


def get_deletion(context: ProjectContext, request: Request) -> Json:
    return show_plan(plan_project(request.dbsession, context.project.id))


def delete(context: ProjectContext, request: Request) -> HTTPNoContent:
    plan = delete_project(request.dbsession, context.project.id)
    report_action(
        request, UserAction("project-delete", f"project:{context.project.id}", plan.takes)
    )
    return HTTPNoContent()


def list_members_of(context: ProjectContext, request: Request) -> Json:
    page = list_members(
        request.dbsession, context.project.id, **request.openapi_validated.parameters.query
    )
    return show_page(request, page, show_member)


def get_member(context: ProjectContext, request: Request) -> Json:
    return show_member(read_member(request.dbsession, context.project.id, _user_id(request)))


def put_member(context: ProjectContext, request: Request) -> Json:
    role = Role(request.openapi_validated.body["role"])
    session, project_id, user_id = request.dbsession, context.project.id, _user_id(request)
    change_role(session, project_id, user_id, role, notify=context.notify_add_ons)
    return show_member(read_member(session, project_id, user_id))


def delete_member(context: ProjectContext, request: Request) -> HTTPNoContent:
    user_id = _user_id(request)
    context.check_may_remove(user_id)
    remove_member(request.dbsession, context.project.id, user_id, notify=context.notify_add_ons)
    return HTTPNoContent()


def _user_id(request: Request) -> uuid.UUID:
    return uuid.UUID(request.matchdict["user_id"])


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    add = partial(config.add_endpoint, factory=ProjectContext, openapi=True)
    config.add_endpoint(
        "api.me",
        "/me",
        View("GET", get_me, NO_PERMISSION_REQUIRED),
        factory=SignedIn,
        openapi=True,
    )
    config.add_endpoint(
        "api.projects",
        "/projects",
        View("GET", list_own_projects, Permission.PROJECTS_READ),
        View("POST", create, Permission.PROJECTS_WRITE),
        factory=SignedIn,
        openapi=True,
    )
    add(
        "api.project",
        "/projects/{slug}",
        View("GET", get_project, Permission.PROJECTS_READ),
        View("PATCH", change, Permission.PROJECTS_WRITE, if_match=show_newest),
        View("DELETE", delete, Permission.PROJECTS_WRITE, if_match=show_newest),
    )
    add(
        "api.project_deletion",
        "/projects/{slug}/deletion",
        View("GET", get_deletion, Permission.PROJECTS_READ),
    )
    add(
        "api.members",
        "/projects/{slug}/members",
        View("GET", list_members_of, Permission.MEMBERS_READ),
    )
    add(
        "api.member",
        "/projects/{slug}/members/{user_id}",
        View("GET", get_member, Permission.MEMBERS_READ),
        View("PUT", put_member, Permission.MEMBERS_WRITE, if_match=get_member),
        # The view decides whom a member may remove, because every member may leave.
        View("DELETE", delete_member, Permission.MEMBERS_LEAVE, if_match=get_member),
    )
