"""Validates the responses of the API against the OpenAPI document, in development and test.

It uses openapi-core, which loads slowly and takes longer for a response than most views. A service in
production does not load it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from combine_core.settings import CoreSettings, settings_of
from combine_core.settings.declaration import Environment
from combine_core.web.problems import MEDIA_TYPE, problem_response

Handler = Callable[[Request], Response]
# A key of the WSGI environment: the OpenAPI document describes the response to this request.
IS_DESCRIBED = "combine_core.api.is_described"
# A key of the registry: the merged OpenAPI document.
DOCUMENT_KEY = "combine_core.api.document"
_TEXT_MEDIA_TYPES = ("text/calendar", "text/csv", "text/markdown")


class InvalidResponse(ValueError):
    """An error for a response that violates the OpenAPI document."""


def response_check_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """Make the tween that replaces a response that violates the OpenAPI document by a 500."""
    environment = settings_of(registry, CoreSettings).environment
    if environment not in (Environment.DEVELOPMENT, Environment.TEST):
        return handler
    make_validator = functools.cache(lambda: _make_validator(registry[DOCUMENT_KEY]))

    def response_check_tween(request: Request) -> Response:
        response = handler(request)
        if not request.environ.get(IS_DESCRIBED):
            return response
        errors = make_validator().iter_errors(
            DescribedRequest(request), _DescribedResponse(response)
        )
        reasons = "; ".join(f"{error}: {error.__cause__}" for error in errors)
        if not reasons:
            return response
        message = f"The response to {request.method} {request.path} is invalid: {reasons}"
        return problem_response(request, InvalidResponse(message))

    return response_check_tween


def _make_validator(document: dict[str, Any]) -> Any:
    from jsonschema_path import SchemaPath
    from openapi_core import V30ResponseValidator

    class ResponseValidator(V30ResponseValidator):
        def _find_path(self, request: Any) -> Any:
            # By the matched route, not by host and path, which the client chooses.
            method = "get" if request.method == "head" else request.method
            return self.path_finder.find(method, request.request.matched_route.pattern)

    return ResponseValidator(
        SchemaPath.from_dict(document),
        extra_media_type_deserializers={
            MEDIA_TYPE: json.loads,
            **dict.fromkeys(_TEXT_MEDIA_TYPES, lambda body: body.decode()),
        },
    )


@dataclass(frozen=True)
class DescribedRequest:
    """An adapter that gives openapi-core a request of Pyramid."""

    request: Request

    @property
    def host_url(self) -> str:
        return str(self.request.host_url)

    @property
    def path(self) -> str:
        return str(self.request.path)

    @property
    def method(self) -> str:
        return str(self.request.method).lower()

    @property
    def parameters(self) -> Any:
        from openapi_core.datatypes import RequestParameters

        return RequestParameters(
            path=self.request.matchdict,
            query=self.request.GET,
            header=self.request.headers,
            cookie=self.request.cookies,
        )

    @property
    def content_type(self) -> str:
        # request.content_type would lack the boundary of a multipart form.
        return str(self.request.environ.get("CONTENT_TYPE", ""))

    @property
    def body(self) -> bytes:
        return bytes(self.request.body)


@dataclass(frozen=True)
class _DescribedResponse:
    """An adapter that gives openapi-core a response of Pyramid."""

    response: Response

    @property
    def data(self) -> bytes:
        return bytes(self.response.body)

    @property
    def status_code(self) -> int:
        return int(self.response.status_int)

    @property
    def content_type(self) -> str:
        return str(self.response.content_type)

    @property
    def headers(self) -> Any:
        return self.response.headers
