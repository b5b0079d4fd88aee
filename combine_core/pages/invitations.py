"""The owner's page of invitation links, and the page that an invited person opens.

A link contains its token in the query. Opening the link moves the token to a cookie and redirects. So the
token is neither in the Referer nor in the stored return address of a sign-in, and is available after the
sign-in.
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_core.access import ProjectContext, Visitor
from combine_core.pages.layout import path_if_routed
from combine_core.pages.members import role_of
from combine_core.projects.invitations import (
    DEFAULT_DAYS,
    TOKEN_PATTERN,
    InvitationEnded,
    TooManyInvitations,
    UnknownInvitation,
    accept_invitation,
    find_invitation,
    list_invitations,
    revoke_invitation,
)
from combine_core.projects.model import InvitationState
from combine_core.settings import settings_of
from combine_core.settings.core import CoreSettings
from combine_core.submissions import create_invitation_once
from combine_core.users import Membership, Permission, Role
from combine_core.web import SecretPresented
from combine_core.web.cookies import Cookie, cookies_are_secure
from combine_core.web.endpoints import View
from combine_core.web.forms import Form, text_of
from combine_core.web.paths import UUID_PATTERN
from combine_core.web.shown_once import keep_for_page, take_for_page

_LIST_TEMPLATE = "combine_core:pages/invitation_list.jinja2"
_TEMPLATE = "combine_core:pages/invitation.jinja2"
_LIST, _LINK = "pages.invitations", "pages.invitation"
_DAYS = {"1": 1, "7": DEFAULT_DAYS, "14": 14, "30": 30}
# The time that an invited person has to sign in.
_COOKIE_LIFETIME = timedelta(hours=1)


def link_of(request: Request, token: str) -> str:
    """Return the invitation link. It is built from PUBLIC_URL, never from the request."""
    public_url = settings_of(request.registry, CoreSettings).public_url
    return f"{public_url}{request.route_path(_LINK, _query={'token': token})}"


# For owners.


def show_invitations(
    context: ProjectContext, request: Request, form: Form | None = None
) -> dict[str, Any]:
    cursor = request.GET.get("cursor")
    token = take_for_page(request).get("token")
    return {
        "project": context.project,
        "invitations": list_invitations(request.dbsession, context.project.id, cursor=cursor),
        "cursor": cursor,
        "link": token and link_of(request, token),
        "roles": list(Role),
        "days": _DAYS.values(),
        "default_days": DEFAULT_DAYS,
        "form": form or Form(),
    }


def create(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Create a link, which the page shows once."""
    role, days = role_of(request), _DAYS.get(text_of(request, "days"))
    if days is None:
        raise HTTPBadRequest("This number of days is unknown. Reload the page, and choose again.")
    try:
        token = create_invitation_once(
            request.dbsession,
            context.project.id,
            context.identity.user_id,
            role,
            days=days,
            notify=context.notify_add_ons,
        )
    except TooManyInvitations as error:
        return _refuse(context, request, error)
    return _back(context, request, **keep_for_page(request, {"token": token}))


def revoke(context: ProjectContext, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Revoke a link that is not used yet."""
    invitation_id = text_of(request, "invitation_id")
    if not re.fullmatch(UUID_PATTERN, invitation_id):
        raise HTTPBadRequest("This invitation is unknown. Reload the page, and choose again.")
    session, project_id = request.dbsession, context.project.id
    try:
        revoke_invitation(
            session, project_id, uuid.UUID(invitation_id), notify=context.notify_add_ons
        )
    except InvitationEnded as error:
        return _refuse(context, request, error)
    return _back(context, request)


def _back(context: ProjectContext, request: Request, **query: str) -> HTTPSeeOther:
    return HTTPSeeOther(request.route_path(_LIST, slug=context.project.slug, _query=query))


def _refuse(context: ProjectContext, request: Request, error: Exception) -> dict[str, Any]:
    request.response.status_int = 409
    return show_invitations(context, request, Form().with_error("invitations", str(error)))


# For the invited person.


def open_link(context: Visitor, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Show the invitation, with a button to accept it or to sign in first."""
    cookie = _cookie(request)
    token = request.GET.get("token")
    if token is not None:
        well_formed = token if re.fullmatch(TOKEN_PATTERN, token) else None
        return HTTPSeeOther(request.route_path(_LINK), headers=cookie.headers(well_formed))
    request.registry.notify(SecretPresented(request))
    return _link_page(context, request, cookie.read(request) or "")


def accept(context: Visitor, request: Request) -> dict[str, Any] | HTTPSeeOther:
    """Make the user a member, and redirect to the project."""
    assert context.identity is not None
    token = text_of(request, "token")
    request.registry.notify(SecretPresented(request))
    session, user_id = request.dbsession, context.identity.user_id
    try:
        project, _ = accept_invitation(session, token, user_id, notify=context.notify_add_ons)
    except (UnknownInvitation, InvitationEnded):
        return _link_page(context, request, token)
    headers = _cookie(request).headers(None)
    return HTTPSeeOther(request.route_path("pages.project", slug=project.slug), headers=headers)


def _link_page(context: Visitor, request: Request, token: str) -> dict[str, Any]:
    values = {"invitation": None, "ended": None, "member": False, "token": token, "sign_in": None}
    session, me = request.dbsession, context.identity
    try:
        invitation = find_invitation(session, token)
    except UnknownInvitation:
        request.response.status_int = 404
        return values
    state = InvitationState(invitation.state)
    if me and session.get(Membership, (invitation.project_id, me.user_id)):
        return {**values, "invitation": invitation, "member": True}
    if state is not InvitationState.OPEN:
        request.response.status_int = 410
        return {**values, "ended": str(InvitationEnded(state))}
    back = {"next": request.route_path(_LINK)}
    sign_in = None if me else path_if_routed(request, "auth.sign_in", _query=back)
    return {**values, "invitation": invitation, "sign_in": sign_in}


def _cookie(request: Request) -> Cookie:
    secure = cookies_are_secure(settings_of(request.registry, CoreSettings))
    return Cookie("invitation", secure=secure, lifetime=_COOKIE_LIFETIME)


def includeme(config: Configurator) -> None:
    """Add the pages and their forms."""
    config.add_endpoint(
        _LIST,
        "/projects/{slug}/invitations",
        View("GET", show_invitations, Permission.MEMBERS_WRITE, renderer=_LIST_TEMPLATE),
        View("POST", create, Permission.MEMBERS_WRITE, form="invite", renderer=_LIST_TEMPLATE),
        View("POST", revoke, Permission.MEMBERS_WRITE, form="revoke", renderer=_LIST_TEMPLATE),
        factory=ProjectContext,
    )
    config.add_endpoint(
        _LINK,
        "/invitation",
        View("GET", open_link, NO_PERMISSION_REQUIRED, renderer=_TEMPLATE),
        View("POST", accept, Permission.PROJECTS_WRITE, renderer=_TEMPLATE),
        factory=Visitor,
    )
