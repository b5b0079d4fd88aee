"""Endpoints: a path, its views with the permission that each needs, and a 405 for other methods.

::

    config.add_endpoint(
        "things",
        "/things",
        View("GET", list_things, Permission.THINGS_READ, renderer="things.jinja2"),
        View("POST", add_thing, Permission.THINGS_WRITE, renderer="things.jinja2"),
        factory=SignedIn,
    )

An endpoint of the API passes ``openapi=True``. Its path is below ``/api/v1``, the OpenAPI document
describes it, its requests are validated against that description, and its views return JSON.
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import orjson
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPMethodNotAllowed, HTTPNotFound
from pyramid.request import Request
from pyramid.security import NO_PERMISSION_REQUIRED

from combine_core.database import Page

API_PREFIX = "/api/v1"
JSON_RENDERER = "combine_json"

Found = TypeVar("Found")
Item = TypeVar("Item")


class View:
    """One method of an endpoint.

    :param method: the HTTP method; ``GET`` includes ``HEAD``
    :param view: a view, or its dotted name
    :param permission: the permission that the context must grant, or ``NO_PERMISSION_REQUIRED``
    :param form: the value of the hidden field ``form`` that selects this view
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
    """Add a route and its views (a directive). Other methods get 405 with ``Allow``.

    :param name: the name of the route
    :param path: the pattern of the route, without ``/api/v1`` for an endpoint of the API
    :param factory: makes the context of the views, and may reject the request. Its attribute
        ``path_variables`` maps each variable to a regular expression; a path that does not match is a 404
    :param openapi: whether the OpenAPI document describes this endpoint
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
    # The response is the same for all clients, so it needs neither a permission nor a CSRF token.
    config.add_view(
        _reject_other_methods(allowed),
        route_name=name,
        permission=NO_PERMISSION_REQUIRED,
        require_csrf=False,
    )
    intr = config.introspectable("combine endpoints", name, path, "endpoint")
    intr.update({"path": path, "methods": sorted(methods), "factory": factory, "openapi": openapi})
    config.action(("combine endpoint", name), introspectables=(intr,))


def _reject_other_methods(allowed: list[str]) -> Callable[[Request], None]:
    def reject_method(request: Request) -> None:
        if request.method in allowed:
            # The value of the field "form" matches no view of the endpoint.
            raise HTTPBadRequest
        raise HTTPMethodNotAllowed(headers={"Allow": ", ".join(allowed)})

    return reject_method


class VariablesPredicate:
    """The route predicate ``variables={"name": pattern}``: each path variable must match its pattern."""

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


def or_not_found(value: Found | None) -> Found:
    """Return the value. Raise HTTPNotFound if it is ``None``."""
    if value is None:
        raise HTTPNotFound
    return value


def json_value(value: object) -> str:
    """Convert a value that has no JSON type to a string.

    Times are RFC 3339 in UTC, such as ``2026-11-23T14:00:00.123456Z``. Money is in US dollars with six
    digits after the point.

    :raises TypeError: the value is not a time, a decimal number or a UUID
    """
    match value:
        case datetime.datetime():
            return value.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
        case Decimal():
            return f"{value:.6f}"
        case uuid.UUID():
            return str(value)
        case _:
            raise TypeError(f"{type(value).__name__} cannot be converted to JSON")


def json_bytes(value: Any) -> bytes:
    """Return the value as JSON in UTF-8. It may contain serialized JSON as an ``orjson.Fragment``."""
    try:
        return orjson.dumps(value, json_value, orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError:
        # orjson supports neither integers of more than 64 bits nor lone surrogates.
        return json.dumps(value, default=json_value).encode()


def _render_json(value: Any, system: Mapping[str, Any]) -> bytes:
    response = system["request"].response
    if response.content_type == response.default_content_type:
        response.content_type = "application/json"
    return json_bytes(value)


def show_page(
    request: Request, page: Page[Item], show: Callable[[Item], dict[str, Any]]
) -> dict[str, Any]:
    """Return the items and the cursor of the next page, and set the ``Link`` header (RFC 8288)."""
    if page.next is not None:
        query = urlencode({**request.GET, "cursor": page.next})
        request.response.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return {"items": [show(item) for item in page.items], "next": page.next}


def attachment(name: str) -> str:
    """Return the ``Content-Disposition`` value of a file with this name, in any script (RFC 6266)."""
    if name.isascii() and name.isprintable() and not {'"', "\\"} & set(name):
        return f'attachment; filename="{name}"'
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


def includeme(config: Configurator) -> None:
    config.add_directive("add_endpoint", add_endpoint)
    config.add_route_predicate("variables", VariablesPredicate)
    config.add_renderer(JSON_RENDERER, lambda _info: _render_json)
