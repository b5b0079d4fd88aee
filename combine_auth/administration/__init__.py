"""What the administrators of the site see and do: users, their sessions, the audit.

They have no rights in projects by that: what is in one is its members' alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pyramid.authorization import Allow, Authenticated
from pyramid.httpexceptions import HTTPForbidden, HTTPMethodNotAllowed, HTTPUnauthorized
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_core.users import Identity

if TYPE_CHECKING:
    from pyramid.config import Configurator


class AdminPermission(StrEnum):
    """What an administrator may do, and a token of theirs may be good for."""

    AUDIT_READ = "audit:read"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"


class Administration:
    """Route factory: administrators alone come in."""

    identity: Identity

    def __init__(self, request: Any) -> None:
        identity = request.identity
        if identity is None:
            raise HTTPUnauthorized
        if not identity.is_admin:
            message = "This is for administrators. An operator makes one: combine user grant-admin"
            raise HTTPForbidden(message)
        self.identity = identity
        self.__acl__ = [(Allow, Authenticated, list(AdminPermission))]


def includeme(config: Configurator) -> None:
    """Add the endpoints, if the application has the API of combine_core."""
    # Not at the top: they need the tables, whose modules are imported after this one.
    from combine_auth.administration import views

    if not hasattr(config, "add_api_spec"):
        return
    config.add_api_spec("combine_auth:administration/openapi.yaml")
    for name, path, methods in (
        ("audit", "/audit", {"GET": (views.list_audit, AdminPermission.AUDIT_READ)}),
        ("users", "/users", {"GET": (views.list_users, AdminPermission.USERS_READ)}),
        ("user", "/users/{user_id}", {"PATCH": (views.change_user, AdminPermission.USERS_WRITE)}),
        (
            "user_sessions",
            "/users/{user_id}/sessions",
            {"DELETE": (views.end_sessions, AdminPermission.USERS_WRITE)},
        ),
    ):
        route = f"auth.api.{name}"
        config.add_route(route, f"/api/v1{path}", factory=Administration)
        for method, (view, permission) in methods.items():
            config.add_view(
                view,
                route_name=route,
                request_method=method,
                permission=permission,
                renderer="json",
                openapi=True,
            )
        config.add_view(
            _refuse(", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])),
            route_name=route,
            permission=NO_PERMISSION_REQUIRED,
            require_csrf=False,
        )


def _refuse(allowed: str) -> Any:
    def method_not_allowed(_request: Any) -> None:
        raise HTTPMethodNotAllowed(headers={"Allow": allowed})

    return method_not_allowed
