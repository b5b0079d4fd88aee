"""The pages for administrators: the list of users, and the page that disables, enables and deletes one."""

from __future__ import annotations

from typing import Any, ClassVar

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther

from combine_auth.administration import AdminPermission, service
from combine_auth.administration.views import Administration
from combine_auth.failures import Refused
from combine_core.users import User
from combine_core.users.deletion import in_words
from combine_core.web.endpoints import View
from combine_core.web.paths import UUID_PATTERN

_LIST_PAGE = "combine_auth:administration/users.jinja2"
_PAGE = "combine_auth:administration/user.jinja2"
_ROWS = 50


class AdministrationPage(Administration):
    """The administration as a route factory of pages."""

    path_variables: ClassVar = {"user_id": UUID_PATTERN}


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
    user = _user(request)
    try:
        service.delete_user(request.dbsession, user, request)
    except Refused as refused:
        return _page(request, user, str(refused))
    return HTTPSeeOther(request.route_path("auth.users"))


def _change(request: Any, change: Any) -> dict[str, Any] | HTTPSeeOther:
    user = _user(request)
    try:
        change(request.dbsession, user, request)
    except Refused as refused:
        return _page(request, user, str(refused))
    return HTTPSeeOther(request.path)


def _page(request: Any, user: User, refused: str | None = None) -> dict[str, Any]:
    if refused is not None:
        request.response.status_int = 409
    plan = service.plan_deletion(request.dbsession, user)
    return {"user": user, "goes": in_words(plan), "obstacle": plan.obstacle, "refused": refused}


def _user(request: Any) -> User:
    user = service.user_of_id(request.dbsession, request.matchdict["user_id"])
    if user is None:
        raise HTTPNotFound
    return user


def includeme(config: Configurator) -> None:
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
