"""The API endpoints and the pages for administrators."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from pyramid.authorization import Allow, Authenticated
from pyramid.config import Configurator
from pyramid.httpexceptions import (
    HTTPConflict,
    HTTPForbidden,
    HTTPNoContent,
    HTTPNotFound,
    HTTPSeeOther,
    HTTPUnauthorized,
)

from combine_auth.administration import AdminPermission, service
from combine_auth.audit.service import AuditFilter, list_events, show_event
from combine_auth.failures import Refused
from combine_auth.identities.service import verified_addresses
from combine_core.users import Identity, User
from combine_core.users.deletion import in_words
from combine_core.web.endpoints import View, show_page
from combine_core.web.paths import UUID_PATTERN

Json = dict[str, Any]

_LIST_PAGE = "combine_auth:administration/users.jinja2"
_PAGE = "combine_auth:administration/user.jinja2"
_ROWS = 50


class Administration:
    """The context of the endpoints and pages, which only administrators may use (a route factory)."""

    identity: Identity

    def __init__(self, request: Any) -> None:
        identity = request.identity
        if identity is None:
            raise HTTPUnauthorized
        if not identity.is_admin:
            message = "Only administrators may do this. To make one: combine user grant-admin EMAIL"
            raise HTTPForbidden(message)
        self.identity = identity
        self.__acl__ = [(Allow, Authenticated, list(AdminPermission))]


class AdministrationPage(Administration):
    """The administration as a route factory of pages."""

    path_variables: ClassVar = {"user_id": UUID_PATTERN}


# The API.


def list_audit(request: Any) -> Json:
    query = request.openapi_validated.parameters.query
    audit_filter = AuditFilter(
        query.get("user"),
        query.get("action"),
        query.get("outcome"),
        _storable_time(query.get("since")),
        _storable_time(query.get("until")),
    )
    page = list_events(
        request.dbsession, audit_filter, cursor=query.get("cursor"), limit=query["limit"]
    )
    return show_page(request, page, show_event)


def _storable_time(moment: datetime.datetime | None) -> datetime.datetime | None:
    """Convert the time to UTC, because PostgreSQL rejects offsets of 16 hours and more.

    Years beyond the bounds, which no event reaches, are clamped. The bounds are leap years, which have
    every day.
    """
    if moment is None:
        return None
    year = min(max(moment.year, 1972), 9996)
    return moment.replace(year=year).astimezone(datetime.UTC)


def list_users(request: Any) -> Json:
    query = request.openapi_validated.parameters.query
    page = service.page_of_users(
        request.dbsession,
        email=query.get("email"),
        cursor=query.get("cursor"),
        limit=query["limit"],
    )
    verified = verified_addresses(request.dbsession, [user.id for user in page.items])
    return show_page(request, page, lambda user: _show(user, address_verified=user.id in verified))


def get_user(context: Administration, request: Any) -> Json:  # noqa: ARG001
    user = _user(request)
    verified = verified_addresses(request.dbsession, [user.id])
    return _show(user, address_verified=bool(verified))


def change_user(context: Administration, request: Any) -> Json:
    session = request.dbsession
    user = _user(request)
    try:
        if request.openapi_validated.body["disabled"]:
            service.disable_user(session, user, request)
        else:
            service.enable_user(session, user, request)
    except Refused as refused:
        raise HTTPConflict(str(refused)) from refused
    session.flush()
    session.refresh(user)
    return get_user(context, request)


def get_deletion(request: Any) -> Json:
    plan = service.plan_deletion(request.dbsession, _user(request))
    return {"takes_along": dict(plan.takes), "documents": [], "obstacle": plan.obstacle}


def delete_user(request: Any) -> HTTPNoContent:
    try:
        service.delete_user(request.dbsession, _user(request), request)
    except Refused as refused:
        raise HTTPConflict(str(refused)) from refused
    return HTTPNoContent()


def end_sessions(request: Any) -> HTTPNoContent:
    service.end_sessions(request.dbsession, _user(request), request)
    return HTTPNoContent()


def _show(user: User, *, address_verified: bool) -> Json:
    return {
        "id": user.id,
        "email": user.email,
        "address_verified": address_verified,
        "name": user.name,
        "is_admin": user.is_admin,
        "created_at": user.created_at,
        "disabled_at": user.disabled_at,
    }


# The pages.


def show_users(request: Any) -> dict[str, Any]:
    """Render the users, newest first, or the one with the address ``?email=``."""
    email, cursor = request.GET.get("email", "").strip(), request.GET.get("cursor")
    page = service.page_of_users(request.dbsession, email=email or None, cursor=cursor, limit=_ROWS)
    return {"page": page, "email": email, "cursor": cursor}


def show_user(request: Any) -> dict[str, Any]:
    return _page(request, _user(request))


def disable(request: Any) -> dict[str, Any] | HTTPSeeOther:
    return _change(request, service.disable_user)


def enable(request: Any) -> dict[str, Any] | HTTPSeeOther:
    return _change(request, service.enable_user)


def delete(request: Any) -> dict[str, Any] | HTTPSeeOther:
    return _change(request, service.delete_user, request.route_path("auth.users"))


def _change(
    request: Any, change: Callable[..., object], target: str | None = None
) -> dict[str, Any] | HTTPSeeOther:
    """Change the user, and redirect to ``target`` or to the same page, which otherwise shows the reason."""
    user = _user(request)
    try:
        change(request.dbsession, user, request)
    except Refused as refused:
        return _page(request, user, str(refused))
    return HTTPSeeOther(target or request.path)


def _page(request: Any, user: User, refused: str | None = None) -> dict[str, Any]:
    if refused is not None:
        request.response.status_int = 409
    plan = service.plan_deletion(request.dbsession, user)
    return {"user": user, "goes": in_words(plan), "obstacle": plan.obstacle, "refused": refused}


def _user(request: Any) -> User:
    user = service.user_of_id(request.dbsession, uuid.UUID(request.matchdict["user_id"]))
    if user is None:
        raise HTTPNotFound
    return user


def includeme(config: Configurator) -> None:
    """Add the pages, and the endpoints if the application includes the API of combine_core."""
    if hasattr(config, "add_api_spec"):
        _add_api(config)
    read, write = AdminPermission.USERS_READ, AdminPermission.USERS_WRITE
    config.add_endpoint(
        "auth.users",
        "/administration/users",
        View("GET", show_users, read, renderer=_LIST_PAGE),
        factory=AdministrationPage,
    )
    config.add_endpoint(
        "auth.user",
        "/administration/users/{user_id}",
        View("GET", show_user, read, renderer=_PAGE),
        View("POST", disable, write, form="disable", renderer=_PAGE),
        View("POST", enable, write, form="enable", renderer=_PAGE),
        View("POST", delete, write, form="delete", renderer=_PAGE),
        factory=AdministrationPage,
    )


def _add_api(config: Configurator) -> None:
    config.add_api_spec("combine_auth:administration/openapi.yaml")
    read, write = AdminPermission.USERS_READ, AdminPermission.USERS_WRITE
    for name, path, *views in (
        ("audit", "/audit", View("GET", list_audit, AdminPermission.AUDIT_READ)),
        ("users", "/users", View("GET", list_users, read)),
        (
            "user",
            "/users/{user_id}",
            View("GET", get_user, read),
            View("PATCH", change_user, write, if_match=get_user),
            View("DELETE", delete_user, write, if_match=get_user),
        ),
        ("user_deletion", "/users/{user_id}/deletion", View("GET", get_deletion, read)),
        ("user_sessions", "/users/{user_id}/sessions", View("DELETE", end_sessions, write)),
    ):
        config.add_endpoint(f"auth.api.{name}", path, *views, factory=Administration, openapi=True)
