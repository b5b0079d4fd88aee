"""API endpoints for invitation links of a project."""

from __future__ import annotations

import uuid

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNoContent
from pyramid.request import Request

from combine_core.access import ProjectContext, SignedIn
from combine_core.api.serializers import Json, show_invitation, show_project
from combine_core.pages.invitations import link_of
from combine_core.projects.invitations import (
    DEFAULT_DAYS,
    accept_invitation,
    create_invitation,
    list_invitations,
    read_invitation,
    revoke_invitation,
)
from combine_core.users import Permission, Role
from combine_core.web import SecretPresented
from combine_core.web.endpoints import View, show_page


def list_all(context: ProjectContext, request: Request) -> Json:
    query = request.openapi_validated.parameters.query
    page = list_invitations(request.dbsession, context.project.id, **query)
    return show_page(request, page, show_invitation)


def create(context: ProjectContext, request: Request) -> Json:
    body, project = request.openapi_validated.body, context.project
    token, invitation = create_invitation(
        request.dbsession,
        project.id,
        context.identity.user_id,
        Role(body["role"]),
        days=body.get("days", DEFAULT_DAYS),
        notify=context.notify_add_ons,
    )
    request.response.status_int = 201
    request.response.location = request.route_path(
        "api.invitation", slug=project.slug, id=invitation.id
    )
    return {**show_invitation(invitation), "link": link_of(request, token)}


def get_invitation(context: ProjectContext, request: Request) -> Json:
    return show_invitation(read_invitation(request.dbsession, context.project.id, _id(request)))


def revoke(context: ProjectContext, request: Request) -> HTTPNoContent:
    session, project_id = request.dbsession, context.project.id
    revoke_invitation(session, project_id, _id(request), notify=context.notify_add_ons)
    return HTTPNoContent()


def accept(context: SignedIn, request: Request) -> Json:
    request.registry.notify(SecretPresented(request))
    project, role = accept_invitation(
        request.dbsession,
        request.openapi_validated.body["token"],
        context.identity.user_id,
        notify=context.notify_add_ons,
    )
    return {"project": show_project(project), "role": role}


def _id(request: Request) -> uuid.UUID:
    return uuid.UUID(request.matchdict["id"])


def includeme(config: Configurator) -> None:
    """Add the endpoints."""
    config.add_endpoint(
        "api.invitations",
        "/projects/{slug}/invitations",
        View("GET", list_all, Permission.MEMBERS_WRITE),
        View("POST", create, Permission.MEMBERS_WRITE, answer_is_secret=True),
        factory=ProjectContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.invitation",
        "/projects/{slug}/invitations/{id}",
        View("GET", get_invitation, Permission.MEMBERS_WRITE),
        View("DELETE", revoke, Permission.MEMBERS_WRITE, if_match=get_invitation),
        factory=ProjectContext,
        openapi=True,
    )
    config.add_endpoint(
        "api.accept_invitation",
        "/invitations/accept",
        View("POST", accept, Permission.PROJECTS_WRITE),
        factory=SignedIn,
        openapi=True,
    )
