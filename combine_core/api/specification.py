"""Validates requests against the OpenAPI document and, in development and test, the responses too.

A view reads the validated request from ``request.openapi_validated``, with ``parameters.query`` and
``body``. An invalid request raises :class:`combine_core.web.problems.ProblemError`.

Add-ons describe their endpoints with ``config.add_api_spec("my_addon:openapi.yaml")``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pyramid.config import PHASE0_CONFIG, PHASE1_CONFIG, Configurator
from pyramid.events import ApplicationCreated
from pyramid.exceptions import ConfigurationError
from pyramid.path import AssetResolver
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.tweens import EXCVIEW

from combine_core.api.fragments import merge, read_fragment
from combine_core.api.operations import CheckedRequest, RequestReader
from combine_core.api.responses import DOCUMENT_KEY, IS_DESCRIBED
from combine_core.web import RESPONSE_CHECK
from combine_core.web.endpoints import API_PREFIX, View
from combine_core.yaml_files import load_yaml

DOCUMENT = Path(__file__).with_name("openapi.yaml")

_ROUTE = "api.specification"

_FRAGMENTS = "combine_core.api.fragments"
_ASSEMBLED = "combine_core.api.fragments_assembled"
_AS_YAML = "combine_core.api.document_as_yaml"
_READER = "combine_core.api.request_reader"


def add_api_spec(config: Configurator, asset: str) -> None:
    """Merge the OpenAPI document of an add-on into the one of the service (a directive).

    The requests and responses of the add-on's endpoints with ``openapi=True`` are validated against it.
    :mod:`combine_core.api.fragments` defines the sections that it may contain.

    :param asset: an OpenAPI document, such as ``combine_auth:openapi.yaml``
    :raises ConfigurationError: at commit, if it cannot be read or conflicts with another document
    """
    path = Path(AssetResolver(config.package).resolve(asset).abspath())

    def register() -> None:
        config.registry[_FRAGMENTS].append(read_fragment(asset, path))

    intr = config.introspectable("combine api specs", asset, asset, "api spec")
    intr.update({"asset": asset, "path": str(path)})
    config.action(
        ("combine api spec", asset), register, order=PHASE0_CONFIG, introspectables=(intr,)
    )
    # One action for each document. The first one merges all of them, unless the application commits
    # between two directives.
    config.action(None, _assemble, (config,), order=PHASE1_CONFIG)


def _assemble(config: Configurator) -> None:
    """Merge the fragments into the document, and compile the reader of requests."""
    registry = config.registry
    fragments = tuple(registry[_FRAGMENTS])
    if registry.get(_ASSEMBLED) == fragments:
        return
    registry[DOCUMENT_KEY] = merge(load_yaml(DOCUMENT.read_text("utf-8")), fragments)
    registry[_READER] = RequestReader(registry[DOCUMENT_KEY])
    registry[_ASSEMBLED] = fragments
    registry.pop(_AS_YAML, None)


def _check_paths(event: ApplicationCreated) -> None:
    """Raise an error if the OpenAPI document describes a path without a route."""
    routes = {route.pattern for route in event.app.routes_mapper.get_routes()}
    described = event.app.registry[DOCUMENT_KEY]["paths"]
    missing = [path for path in described if f"{API_PREFIX}{path}" not in routes]
    if missing:
        raise ConfigurationError(
            f"The API description contains {', '.join(missing)}, but there is no such route. Add the"
            " endpoint, or remove the path from the description."
        )


def _openapi_validated(request: Request) -> CheckedRequest:
    """Validate and parse the request. Raises ``ProblemError`` with the list of errors."""
    if not request.environ.get(IS_DESCRIBED):
        raise AttributeError("The OpenAPI document does not describe this request.")
    checked: CheckedRequest = request.registry[_READER].read(request)
    return checked


def _check_requests(view: Callable[..., Any], info: Any) -> Callable[..., Any]:
    """Validate requests before views with ``openapi=True`` run (a view deriver)."""
    if not info.options.get("openapi"):
        return view

    def check_then_view(context: object, request: Request) -> Any:
        request.environ[IS_DESCRIBED] = True
        _ = request.openapi_validated
        return view(context, request)

    return check_then_view


_check_requests.options = ("openapi",)  # type: ignore[attr-defined]


def _document_as_yaml(request: Request) -> Response:
    registry = request.registry
    # Serialized at the first request, because this takes a third as long as the start of the application.
    if _AS_YAML not in registry:
        registry[_AS_YAML] = yaml.safe_dump(
            registry[DOCUMENT_KEY], sort_keys=False, allow_unicode=True, width=110
        )
    return Response(registry[_AS_YAML], content_type="text/yaml", charset="utf-8")


def _document_as_json(request: Request) -> Any:
    return request.registry[DOCUMENT_KEY]


def includeme(config: Configurator) -> None:
    """Read the OpenAPI document, serve it, and validate requests against it."""
    config.add_subscriber(_check_paths, ApplicationCreated)
    config.add_tween(RESPONSE_CHECK, over=EXCVIEW)
    config.add_request_method(_openapi_validated, "openapi_validated", reify=True)
    config.add_view_deriver(_check_requests, "openapi_view")
    config.registry.setdefault(_FRAGMENTS, [])
    config.add_directive("add_api_spec", add_api_spec)
    config.action(None, _assemble, (config,), order=PHASE1_CONFIG)

    config.add_endpoint(
        _ROUTE,
        f"{API_PREFIX}/openapi.yaml",
        View("GET", _document_as_yaml, NO_PERMISSION_REQUIRED),
    )
    config.add_endpoint(
        f"{_ROUTE}_json",
        f"{API_PREFIX}/openapi.json",
        View("GET", _document_as_json, NO_PERMISSION_REQUIRED, renderer="json"),
    )
