"""Every endpoint of the API: its path, who may use it, and the view that translates."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPMethodNotAllowed
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_core.access import (
    UUID_PATTERN,
    DocumentContext,
    ProjectContext,
    RunContext,
    SignedIn,
)
from combine_core.api.specification import PREFIX
from combine_core.api.views import documents, lines, me, members, projects, runs, sources
from combine_core.projects import SLUG_PATTERN
from combine_core.users import Permission

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request

View = Callable[..., Any]


@dataclass(frozen=True)
class Endpoint:
    """A path of the OpenAPI document; ``views`` by method, each with the permission it needs."""

    name: str
    path: str
    context: type[SignedIn]
    views: Mapping[str, tuple[View, str]]


ENDPOINTS = (
    Endpoint("me", "/me", SignedIn, {"GET": (me.get_me, NO_PERMISSION_REQUIRED)}),
    Endpoint(
        "projects",
        "/projects",
        SignedIn,
        {
            "GET": (projects.list_, Permission.PROJECTS_READ),
            "POST": (projects.create, Permission.PROJECTS_WRITE),
        },
    ),
    Endpoint(
        "project",
        "/projects/{slug}",
        ProjectContext,
        {"GET": (projects.get, Permission.PROJECTS_READ)},
    ),
    Endpoint(
        "members",
        "/projects/{slug}/members",
        ProjectContext,
        {
            "GET": (members.list_, Permission.MEMBERS_READ),
            "POST": (members.add, Permission.MEMBERS_WRITE),
        },
    ),
    Endpoint(
        "member",
        "/projects/{slug}/members/{user_id}",
        ProjectContext,
        {
            "GET": (members.get, Permission.MEMBERS_READ),
            "PUT": (members.put, Permission.MEMBERS_WRITE),
            # Whom a member may remove is for the view: everybody may leave.
            "DELETE": (members.remove, Permission.MEMBERS_LEAVE),
        },
    ),
    Endpoint(
        "sources",
        "/projects/{slug}/sources",
        ProjectContext,
        {
            "GET": (sources.list_, Permission.SOURCES_READ),
            "POST": (sources.create, Permission.SOURCES_WRITE),
        },
    ),
    Endpoint(
        "source",
        "/projects/{slug}/sources/{id}",
        ProjectContext,
        {"GET": (sources.get, Permission.SOURCES_READ)},
    ),
    Endpoint("lines", "/lines", SignedIn, {"GET": (lines.list_, Permission.PROJECTS_READ)}),
    Endpoint("line", "/lines/{name}", SignedIn, {"GET": (lines.get, Permission.PROJECTS_READ)}),
    Endpoint(
        "runs",
        "/projects/{slug}/runs",
        ProjectContext,
        {
            "GET": (runs.list_, Permission.RUNS_READ),
            "POST": (runs.start, Permission.RUNS_WRITE),
        },
    ),
    Endpoint("run", "/runs/{id}", RunContext, {"GET": (runs.get, Permission.RUNS_READ)}),
    Endpoint(
        "run_cancel",
        "/runs/{id}/cancel",
        RunContext,
        {"POST": (runs.cancel, Permission.RUNS_WRITE)},
    ),
    Endpoint(
        "documents",
        "/projects/{slug}/documents",
        ProjectContext,
        {"GET": (documents.list_, Permission.DOCUMENTS_READ)},
    ),
    Endpoint(
        "document",
        "/documents/{id}",
        DocumentContext,
        {"GET": (documents.get, Permission.DOCUMENTS_READ)},
    ),
    Endpoint(
        "versions",
        "/documents/{id}/versions",
        DocumentContext,
        {"GET": (documents.list_versions, Permission.DOCUMENTS_READ)},
    ),
    Endpoint(
        "version",
        "/documents/{id}/versions/{number}",
        DocumentContext,
        {"GET": (documents.get, Permission.DOCUMENTS_READ)},
    ),
)

# What each variable of a path may be. The last bound keeps the number within PostgreSQL's integers.
_VARIABLES = {
    "slug": SLUG_PATTERN,
    "id": UUID_PATTERN,
    "user_id": UUID_PATTERN,
    "name": "[a-z][a-z0-9_]{0,39}",
    "number": "[1-9][0-9]{0,8}",
}


class VariablesPredicate:
    """Route predicate ``variables=True``: each variable of the path is what it may be, else 404.

    The patterns do not stand in the route itself, whose pattern must be the path in the document.
    """

    def __init__(self, enabled: bool, config: Configurator) -> None:  # noqa: ARG002
        self._enabled = enabled

    def text(self) -> str:
        """For Pyramid's listings."""
        return f"variables = {self._enabled}"

    phash = text

    def __call__(self, info: Mapping[str, Any], request: Request) -> bool:  # noqa: ARG002
        """Whether the route may match."""
        return all(
            re.fullmatch(_VARIABLES[name], value) is not None
            for name, value in info["match"].items()
        )


def _refuse(allowed: str) -> View:
    def method_not_allowed(_request: Request) -> None:
        raise HTTPMethodNotAllowed(headers={"Allow": allowed})

    return method_not_allowed


def includeme(config: Configurator) -> None:
    """Add a route for each endpoint, its views, and the answer to other methods."""
    config.add_route_predicate("variables", VariablesPredicate)
    for endpoint in ENDPOINTS:
        route = f"api.{endpoint.name}"
        config.add_route(route, PREFIX + endpoint.path, factory=endpoint.context, variables=True)
        for method, (view, permission) in endpoint.views.items():
            config.add_view(
                view,
                route_name=route,
                request_method=method,
                permission=permission,
                renderer="json",
                openapi=True,
            )
        methods = [*endpoint.views, *(["HEAD"] if "GET" in endpoint.views else [])]
        config.add_view(
            _refuse(", ".join(sorted(methods))),
            route_name=route,
            permission=NO_PERMISSION_REQUIRED,
            require_csrf=False,
        )
