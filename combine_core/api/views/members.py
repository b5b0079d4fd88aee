"""Members of a project."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from pyramid.httpexceptions import HTTPForbidden, HTTPNoContent, HTTPNotFound

from combine_core.api.shapes import Json, show_member, show_page
from combine_core.projects.members import (
    LastOwner,
    MemberAlready,
    NoMember,
    UnknownPerson,
    add_member,
    announce,
    change_role,
    find_known_user,
    list_members,
    read_member,
    remove_member,
)
from combine_core.users import Permission, Role
from combine_core.web.problems import FieldError, ProblemError, invalid_content, problem_of

if TYPE_CHECKING:
    from pyramid.request import Request

    from combine_core.access import ProjectContext


@problem_of.register
def _(error: NoMember) -> ProblemError:  # noqa: ARG001
    return problem_of(HTTPNotFound())


@problem_of.register
def _(error: UnknownPerson) -> ProblemError:
    return invalid_content(FieldError("email", f"{error}."))


@problem_of.register
def _(error: MemberAlready | LastOwner) -> ProblemError:
    return ProblemError(409, str(error))


def list_(context: ProjectContext, request: Request) -> Json:
    """GET /projects/{slug}/members."""
    page = list_members(
        request.dbsession, context.project.id, **request.openapi_validated.parameters.query
    )
    return show_page(page, show_member)


def add(context: ProjectContext, request: Request) -> Json:
    """POST /projects/{slug}/members."""
    body = request.openapi_validated.body
    session, project = request.dbsession, context.project
    user_id = find_known_user(session, context.identity, body["email"])
    announce(request, project.id, add_member(session, project.id, user_id, Role(body["role"])))
    request.response.status_int = 201
    request.response.location = request.route_path("api.member", slug=project.slug, user_id=user_id)
    return show_member(read_member(session, project.id, user_id))


def get(context: ProjectContext, request: Request) -> Json:
    """GET /projects/{slug}/members/{user_id}."""
    return show_member(read_member(request.dbsession, context.project.id, _user_id(request)))


def put(context: ProjectContext, request: Request) -> Json:
    """PUT /projects/{slug}/members/{user_id}."""
    role = Role(request.openapi_validated.body["role"])
    session, project_id, user_id = request.dbsession, context.project.id, _user_id(request)
    try:
        change = change_role(session, project_id, user_id, role)
    except NoMember:
        try:
            change = add_member(session, project_id, user_id, role)
        except UnknownPerson as error:
            raise HTTPNotFound from error
        request.response.status_int = 201
    announce(request, project_id, change)
    return show_member(read_member(session, project_id, user_id))


def remove(context: ProjectContext, request: Request) -> HTTPNoContent:
    """DELETE /projects/{slug}/members/{user_id}."""
    user_id = _user_id(request)
    if user_id != context.identity.user_id:
        allowed = request.has_permission(Permission.MEMBERS_WRITE)
        if not allowed:
            raise HTTPForbidden(result=allowed)
    announce(
        request, context.project.id, remove_member(request.dbsession, context.project.id, user_id)
    )
    return HTTPNoContent()


def _user_id(request: Request) -> uuid.UUID:
    return uuid.UUID(request.matchdict["user_id"])
