"""Endpoints: a path with its views, each beside the permission it needs, and the answer to other methods.

::

    config.add_endpoint(
        "things",
        "/things",
        View("GET", list_things, Permission.THINGS_READ, renderer="things.jinja2"),
        View("POST", add_thing, Permission.THINGS_WRITE, renderer="things.jinja2"),
        factory=SignedIn,
    )

An endpoint of the API says ``openapi=True``: its path stands below ``/api/v1`` and in the OpenAPI
document, which checks its requests, and its views return JSON.
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import orjson
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPMethodNotAllowed
from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED

API_PREFIX = "/api/v1"
JSON_RENDERER = "combine_json"


class View:
    """One way to use an endpoint.

    :param method: the HTTP method; ``GET`` includes ``HEAD``
    :param view: a view, or its dotted name
    :param permission: what the context must grant, or ``NO_PERMISSION_REQUIRED``
    :param form: the view takes only forms whose hidden field ``form`` has this value
    :param options: more options of ``config.add_view``, such as ``renderer``
    """

    def __init__(
        self,
        method: str,
        view: Callable[..., Any] | str,
        permission: str,
        *,
        form: str | None = None,
        **options: Any,
    ) -> None:
        self.method = method
        self.options = {"view": view, "permission": permission, **options}
        if form is not None:
            self.options["request_param"] = f"form={form}"


def add_endpoint(
    config: Configurator,
    name: str,
    path: str,
    *views: View,
    factory: Callable[[Request], object] | None = None,
    openapi: bool = False,
) -> None:
    """Directive: add a route and its views. Other methods get 405 with ``Allow``.

    :param name: of the route
    :param path: the pattern of the route; that of an endpoint of the API begins below ``/api/v1``
    :param factory: makes the context of the views; it may refuse the request. Its attribute
        ``path_variables`` has a regular expression for each variable; a path that does not match is a 404
    :param openapi: the OpenAPI document describes this endpoint
    """
    methods = {view.method for view in views}
    allowed = sorted(methods | ({"HEAD"} if "GET" in methods else set()))
    defaults: dict[str, Any] = {}
    if openapi:
        path = f"{API_PREFIX}{path}"
        defaults = {"renderer": JSON_RENDERER, "openapi": True}
    variables = getattr(factory, "path_variables", None)
    predicates = {} if variables is None else {"variables": variables}
    config.add_route(name, path, factory=factory, **predicates)
    for view in views:
        config.add_view(route_name=name, request_method=view.method, **{**defaults, **view.options})
    # No permission and no token are asked for: the answer is the same for everybody.
    config.add_view(
        _refuse(allowed),
        route_name=name,
        permission=NO_PERMISSION_REQUIRED,
        require_csrf=False,
    )
    intr = config.introspectable("combine endpoints", name, path, "endpoint")
    intr.update({"path": path, "methods": sorted(methods), "factory": factory, "openapi": openapi})
    config.action(("combine endpoint", name), introspectables=(intr,))


def _refuse(allowed: list[str]) -> Callable[[Request], None]:
    def refuse_method(request: Request) -> None:
        if request.method in allowed:
            # A form that no view of the endpoint takes.
            raise HTTPBadRequest
        raise HTTPMethodNotAllowed(headers={"Allow": ", ".join(allowed)})

    return refuse_method


class VariablesPredicate:
    """Route predicate ``variables={"name": pattern}``: each variable of the path matches its pattern."""

    def __init__(self, patterns: Mapping[str, str], config: Configurator) -> None:  # noqa: ARG002
        self._patterns = patterns

    def text(self) -> str:
        return f"variables = {dict(self._patterns)}"

    phash = text

    def __call__(self, info: Mapping[str, Any], request: Request) -> bool:  # noqa: ARG002
        return all(
            re.fullmatch(self._patterns[name], value) is not None
            for name, value in info["match"].items()
        )


def json_value(value: object) -> str:
    """A value that JSON has no type for.

    Times are RFC 3339 in UTC, such as ``2026-11-23T14:00:00.123456Z``. Money is a string in US dollars
    with six digits after the point.

    :raises TypeError: it is of another type
    """
    match value:
        case datetime.datetime():
            return value.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
        case Decimal():
            return f"{value:.6f}"
        case uuid.UUID():
            return str(value)
        case _:
            raise TypeError(f"{type(value).__name__} is not JSON")


def json_bytes(value: Any) -> bytes:
    """The value as JSON in UTF-8. A text that is JSON already may stand in it as ``orjson.Fragment``."""
    try:
        return orjson.dumps(value, json_value, orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError:
        # orjson knows no integer of more than 64 bits, and no half of a surrogate pair.
        return json.dumps(value, default=json_value).encode()


def _render_json(value: Any, system: Mapping[str, Any]) -> bytes:
    response = system["request"].response
    if response.content_type == response.default_content_type:
        response.content_type = "application/json"
    return json_bytes(value)


def includeme(config: Configurator) -> None:
    config.add_directive("add_endpoint", add_endpoint)
    config.add_route_predicate("variables", VariablesPredicate)
    config.add_renderer(JSON_RENDERER, lambda _info: _render_json)
