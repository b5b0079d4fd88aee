"""Checks requests against the OpenAPI document and, in development and test, the responses too.

A view reads the checked request from ``request.openapi_validated``, with ``parameters.query`` and
``body``. A request that does not fit raises :class:`combine_core.web.problems.ProblemError`.

Add-ons describe their endpoints with ``config.add_api_spec("my_addon:openapi.yaml")``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from jsonschema_path import SchemaPath
from openapi_core import V30ResponseValidator
from openapi_spec_validator.readers import read_from_filename
from pyramid.config import PHASE0_CONFIG, PHASE1_CONFIG, Configurator
from pyramid.path import AssetResolver
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid_openapi3.exceptions import ResponseValidationError

from combine_core.api.fragments import merge, read_fragment
from combine_core.api.operations import RequestReader
from combine_core.settings.core import CoreSettings
from combine_core.settings.declaration import Environment
from combine_core.web.endpoints import API_PREFIX, View
from combine_core.web.problems import MEDIA_TYPE, problem_response

DOCUMENT = Path(__file__).with_name("openapi.yaml")

# Where pyramid_openapi3 looks for the document and its validators.
_STATE = "pyramid_openapi3"
_ROUTE = "api.specification"

_FRAGMENTS = "combine_core.api.fragments"
_ASSEMBLED = "combine_core.api.fragments_assembled"
_AS_YAML = "combine_core.api.document"


class ResponseChecker(V30ResponseValidator):
    """Checks a response against the document."""

    def _find_path(self, request: Any) -> Any:
        # By the matched route, not by host and path, which the client chooses.
        method = "get" if request.method == "head" else request.method
        return self.path_finder.find(method, request.request.matched_route.pattern)


def add_api_spec(config: Configurator, asset: str) -> None:
    """Directive: describe endpoints of an add-on in the document of the API.

    The description is served and shown in ``/docs`` with ours. It checks the requests and responses of
    the add-on's endpoints that say ``openapi=True``. :mod:`combine_core.api.fragments` says what it may
    contain.

    :param asset: an OpenAPI document, such as ``combine_auth:openapi.yaml``
    :raises ConfigurationError: at commit, if it cannot be read or conflicts with another one
    """
    path = Path(AssetResolver(config.package).resolve(asset).abspath())

    def register() -> None:
        config.registry[_FRAGMENTS].append(read_fragment(asset, path))

    intr = config.introspectable("combine api specs", asset, asset, "api spec")
    intr.update({"asset": asset, "path": str(path)})
    config.action(
        ("combine api spec", asset), register, order=PHASE0_CONFIG, introspectables=(intr,)
    )
    # One action for each description; the first does the work. An application may commit in between.
    config.action(None, _assemble, (config,), order=PHASE1_CONFIG)


def _assemble(config: Configurator) -> None:
    """Merge all parts into the document, and make the validators from it."""
    registry = config.registry
    fragments = tuple(registry[_FRAGMENTS])
    if registry.get(_ASSEMBLED) == fragments:
        return
    ours, _ = read_from_filename(str(DOCUMENT))
    merged = merge(ours, fragments)
    spec = SchemaPath.from_dict(merged)
    # This replaces what pyramid_openapi3 makes of a single file. Its own validators quote what the client
    # sent, and fail for HEAD.
    registry.settings.setdefault(_STATE, {}).update(
        filepath=str(DOCUMENT),
        spec_route_name=_ROUTE,
        spec=spec,
        request_validator=RequestReader(merged),
        response_validator=ResponseChecker(
            spec,
            extra_media_type_deserializers={
                MEDIA_TYPE: json.loads,
                **dict.fromkeys(
                    ("text/calendar", "text/csv", "text/markdown"), lambda body: body.decode()
                ),
            },
        ),
    )
    registry.settings["pyramid_openapi3_apinames"] = [_STATE]
    registry[_ASSEMBLED] = fragments
    registry.pop(_AS_YAML, None)


def _does_not_fit(error: ResponseValidationError, request: Request) -> Response:
    return problem_response(request, error)


def _document_as_yaml(request: Request) -> Response:
    registry = request.registry
    # Written for the first who asks: it takes a third of the time that the application needs to start.
    if _AS_YAML not in registry:
        document = registry.settings[_STATE]["spec"].read_value()
        registry[_AS_YAML] = yaml.safe_dump(
            document, sort_keys=False, allow_unicode=True, width=110
        )
    return Response(registry[_AS_YAML], content_type="text/yaml", charset="utf-8")


def _document_as_json(request: Request) -> Any:
    return request.registry.settings[_STATE]["spec"].read_value()


def includeme(config: Configurator) -> None:
    """Read the document, serve it, and check requests against it."""
    # Included here, so that our error view below overrides that of pyramid_openapi3.
    config.include("pyramid_openapi3")
    environment = config.add_addon_settings(CoreSettings).environment
    config.registry.settings["pyramid_openapi3.enable_response_validation"] = environment in (
        Environment.DEVELOPMENT,
        Environment.TEST,
    )
    config.registry.setdefault(_FRAGMENTS, [])
    config.add_directive("add_api_spec", add_api_spec)
    config.action(None, _assemble, (config,), order=PHASE1_CONFIG)
    config.add_exception_view(_does_not_fit, context=ResponseValidationError)

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
