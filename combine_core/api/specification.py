"""The OpenAPI document at work: it checks requests and, in development and test, the answers.

What comes out of a checked request is ``request.openapi_validated``, with ``parameters.query`` and
``body``. A request that does not fit raises :class:`combine_core.api.problems.ProblemError`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openapi_core import V30ResponseValidator
from openapi_core.unmarshalling.request import V30RequestUnmarshaller
from openapi_core.unmarshalling.request.datatypes import RequestUnmarshalResult
from pyramid.config import PHASE1_CONFIG
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid_openapi3.exceptions import ResponseValidationError

from combine_core.api.fit import problem_of_misfit
from combine_core.api.problems import MEDIA_TYPE, FieldError, invalid_content, problem_response
from combine_core.api.strict_json import read_json
from combine_core.settings.core import CoreSettings
from combine_core.settings.environment import Environment

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.request import Request
    from pyramid.response import Response

DOCUMENT = Path(__file__).with_name("openapi.yaml")
PREFIX = "/api/v1"

# Where pyramid_openapi3 keeps what it has read of the document.
_STATE = "pyramid_openapi3"


class _ByRoute:
    """Finds the operation by the route that matched, not by host and path, which clients choose."""

    path_finder: Any

    def _find_path(self, request: Any) -> Any:
        method = "get" if request.method == "head" else request.method
        return self.path_finder.find(method, request.request.matched_route.pattern)


class RequestReader(_ByRoute, V30RequestUnmarshaller):
    """Reads a request as the document describes it."""

    def unmarshal(self, request: Any) -> RequestUnmarshalResult:
        """Parameters and body; raises :class:`ProblemError` naming each thing that does not fit."""
        try:
            result = super().unmarshal(request)
        except RecursionError as error:
            raise invalid_content(FieldError("", "is nested too deeply.")) from error
        if result.errors:
            raise problem_of_misfit(result.errors)
        return result

    def _get_security(self, parameters: Any, operation: Any) -> dict[str, str]:  # noqa: ARG002
        # Who asks is the matter of the security policy and the route factories.
        return {}

    def _get_body(self, body: bytes | None, mimetype: str, operation: Any) -> Any:
        media_type = mimetype.partition(";")[0].strip().lower()
        if media_type == "multipart/form-data" and "requestBody" in operation:
            content = operation / "requestBody" / "content"
            if media_type in content:
                # Its parts are bytes: combine_core.api.upload reads them.
                return None
        return super()._get_body(body, media_type, operation)


class ResponseChecker(_ByRoute, V30ResponseValidator):
    """Checks an answer against the document."""


def _strengthen(config: Configurator) -> None:
    state = config.registry.settings[_STATE]
    state["request_validator"] = RequestReader(
        state["spec"], extra_media_type_deserializers={"application/json": read_json}
    )
    state["response_validator"] = ResponseChecker(
        state["spec"],
        extra_media_type_deserializers={
            MEDIA_TYPE: json.loads,
            "text/markdown": lambda body: body.decode("utf-8"),
        },
    )


def _does_not_fit(error: ResponseValidationError, request: Request) -> Response:
    return problem_response(request, error)


def _document_as_json(request: Request) -> Any:
    return request.registry.settings[_STATE]["spec"].read_value()


def includeme(config: Configurator) -> None:
    """Read the document, serve it, and check by it."""
    # From here, so that our error view below overrides its own.
    config.include("pyramid_openapi3")
    environment = config.add_addon_settings(CoreSettings).environment
    config.registry.settings["pyramid_openapi3.enable_response_validation"] = environment in (
        Environment.DEVELOPMENT,
        Environment.TEST,
    )
    config.pyramid_openapi3_spec(
        str(DOCUMENT), route=f"{PREFIX}/openapi.yaml", route_name="api.specification"
    )
    # After pyramid_openapi3 has made its own, which quote what the client sent, and answer HEAD
    # with an error.
    config.action("combine_core.api.specification", _strengthen, (config,), order=PHASE1_CONFIG)
    config.add_exception_view(_does_not_fit, context=ResponseValidationError)

    config.add_route("api.specification_json", f"{PREFIX}/openapi.json")
    config.add_view(
        _document_as_json,
        route_name="api.specification_json",
        renderer="json",
        request_method="GET",
        permission=NO_PERMISSION_REQUIRED,
    )
