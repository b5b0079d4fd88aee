"""The page of a project's members, on which owners change roles."""

from __future__ import annotations

import re
import uuid
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.request import Request

from combine_core.access import ProjectContext
from combine_core.projects.members import (
    LastOwner,
    change_role,
    list_members,
    remove_member,
)
from combine_core.users import Permission, Role
from combine_core.web.endpoints import View
from combine_core.web.forms import Form, text_of
from combine_core.web.paths import UUID_PATTERN

_TEMPLATE = "combine_core:pages/members.jinja2"
_ROUTE = "pages.members"


def show_members(
    context: ProjectContext, request: Request, form: Form | None = None
) -> dict[str, Any]:
    cursor = request.GET.get("cursor")
    return {
        "project": context.project,
        "members": list_members(request.dbsession, context.project.id, cursor=cursor),
        "cursor": cursor,
        "me": context.identity,
        "may_write": bool(request.has_permission(Permission.MEMBERS_WRITE)),
        "roles": list(Role),
        "form": form or Form(),
    }


def set_role(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    session, project_id, user_id = request.dbsession, context.project.id, _user_id(request)
    try:
        change_role(session, project_id, user_id, role_of(request), notify=context.notify_add_ons)
    except LastOwner as error:
        return _refuse(context, request, error)
    return _back(context, request)


def remove(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Remove a member, who may be the user."""
    session, project_id, user_id = request.dbsession, context.project.id, _user_id(request)
    context.check_may_remove(user_id)
    try:
        remove_member(session, project_id, user_id, notify=context.notify_add_ons)
    except LastOwner as error:
        return _refuse(context, request, error)
    if user_id == context.identity.user_id:
        return HTTPSeeOther(request.route_path("pages.projects"))
    return _back(context, request)


def role_of(request: Request) -> Role:
    """Return the role that was chosen in the form."""
    try:
        return Role(text_of(request, "role"))
    except ValueError as error:
        raise HTTPBadRequest("This role is unknown. Reload the page, and choose again.") from error


def _user_id(request: Request) -> uuid.UUID:
    text = text_of(request, "user_id")
    if not re.fullmatch(UUID_PATTERN, text):
        raise HTTPBadRequest("This member is unknown. Reload the page, and choose again.")
    return uuid.UUID(text)


def _back(context: ProjectContext, request: Request) -> HTTPSeeOther:
    return HTTPSeeOther(request.route_path(_ROUTE, slug=context.project.slug))


def _refuse(context: ProjectContext, request: Request, error: LastOwner) -> dict[str, Any]:
    request.response.status_int = 409
    return show_members(context, request, Form().with_error("members", str(error)))


def includeme(config: Configurator) -> None:
    """Add the page and its forms."""
    config.add_endpoint(
        _ROUTE,
        "/projects/{slug}/members",
        View("GET", show_members, Permission.MEMBERS_READ, renderer=_TEMPLATE),
        View("POST", set_role, Permission.MEMBERS_WRITE, form="role", renderer=_TEMPLATE),
        # The view decides whom a member may remove, because every member may leave.
        View("POST", remove, Permission.MEMBERS_LEAVE, form="remove", renderer=_TEMPLATE),
        factory=ProjectContext,
    )
