"""The members of a project; for owners, forms to decide who they are."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPBadRequest, HTTPForbidden, HTTPNotFound, HTTPSeeOther

from combine_core.access import UUID_PATTERN
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
    remove_member,
)
from combine_core.users import Permission, Role
from combine_core.web.forms import Form, text_of

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request

    from combine_core.access import ProjectContext

_TEMPLATE = "combine_core:pages/members.jinja2"
_ROUTE = "pages.members"


def includeme(config: Configurator) -> None:
    """Add the views."""
    config.add_view(
        show_members,
        route_name=_ROUTE,
        request_method="GET",
        permission=Permission.MEMBERS_READ,
        renderer=_TEMPLATE,
    )
    for form, view, permission in (
        ("add", add, Permission.MEMBERS_WRITE),
        ("role", give_role, Permission.MEMBERS_WRITE),
        ("remove", remove, Permission.MEMBERS_LEAVE),
    ):
        config.add_view(
            view,
            route_name=_ROUTE,
            request_method="POST",
            request_param=f"form={form}",
            permission=permission,
            renderer=_TEMPLATE,
        )


def show_members(context: ProjectContext, request: Request) -> dict[str, Any]:
    """The page."""
    return _page(context, request)


def add(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Add somebody by e-mail address or user id."""
    form = Form({"person": text_of(request, "person").strip(), "role": text_of(request, "role")})
    session, project_id, person = request.dbsession, context.project.id, form.value("person")
    role = _role(request)
    try:
        if re.fullmatch(UUID_PATTERN, person.lower()):
            user_id = uuid.UUID(person)
        else:
            user_id = find_known_user(session, context.identity, person)
        announce(request, project_id, add_member(session, project_id, user_id, role))
    except UnknownPerson as error:
        return _refuse(context, request, form.with_error("person", f"This {error}."))
    except MemberAlready as error:
        return _refuse(context, request, form.with_error("person", str(error)), status=409)
    return _back(context, request)


def give_role(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Give a member another role."""
    session, project_id, user_id = request.dbsession, context.project.id, _user_id(request)
    try:
        announce(request, project_id, change_role(session, project_id, user_id, _role(request)))
    except LastOwner as error:
        return _refuse(context, request, Form().with_error("members", str(error)), status=409)
    except NoMember as error:
        raise HTTPNotFound from error
    return _back(context, request)


def remove(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Remove a member, or leave."""
    session, project_id, user_id = request.dbsession, context.project.id, _user_id(request)
    leaves = user_id == context.identity.user_id
    if not leaves:
        allowed = request.has_permission(Permission.MEMBERS_WRITE)
        if not allowed:
            raise HTTPForbidden(result=allowed)
    try:
        announce(request, project_id, remove_member(session, project_id, user_id))
    except LastOwner as error:
        return _refuse(context, request, Form().with_error("members", str(error)), status=409)
    except NoMember as error:
        raise HTTPNotFound from error
    if leaves:
        return HTTPSeeOther(request.route_path("pages.projects"))
    return _back(context, request)


def _role(request: Request) -> Role:
    try:
        return Role(text_of(request, "role"))
    except ValueError as error:
        raise HTTPBadRequest("There is no such role. Reload the page, choose again.") from error


def _user_id(request: Request) -> uuid.UUID:
    text = text_of(request, "user_id")
    if not re.fullmatch(UUID_PATTERN, text):
        raise HTTPBadRequest("There is no such member. Reload the page, choose again.")
    return uuid.UUID(text)


def _back(context: ProjectContext, request: Request) -> HTTPSeeOther:
    return HTTPSeeOther(request.route_path(_ROUTE, slug=context.project.slug))


def _refuse(
    context: ProjectContext, request: Request, form: Form, status: int = 400
) -> dict[str, Any]:
    request.response.status_int = status
    return _page(context, request, form)


def _page(context: ProjectContext, request: Request, form: Form | None = None) -> dict[str, Any]:
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
