"""Checks the answers of the API against the OpenAPI document, in development and test.

openapi-core does that. It takes long to load, and longer for an answer than most views. A service in
production does not load it.
"""

from __future__ import annotations

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
# Of a request: its answer has a description.
IS_DESCRIBED = "combine_core.api.is_described"
# Of a registry: the whole document.
DOCUMENT_KEY = "combine_core.api.document"
# Bodies that are text, beside JSON.
_TEXTS = ("text/calendar", "text/csv", "text/markdown")


class InvalidResponse(ValueError):
    """A view gives another answer than its description says."""


def response_check_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """Answer 500 instead of what does not fit the document."""
    environment = settings_of(registry, CoreSettings).environment
    if environment not in (Environment.DEVELOPMENT, Environment.TEST):
        return handler
    checkers: list[Any] = []

    def response_check_tween(request: Request) -> Response:
        response = handler(request)
        if not request.environ.get(IS_DESCRIBED):
            return response
        if not checkers:
            checkers.append(_make_checker(registry[DOCUMENT_KEY]))
        errors = list(checkers[0].iter_errors(DescribedRequest(request), _Answer(response)))
        if not errors:
            return response
        words = "; ".join(f"{error}: {error.__cause__}" for error in errors)
        return problem_response(
            request, InvalidResponse(f"{request.method} {request.path} does not fit: {words}")
        )

    return response_check_tween


def _make_checker(document: dict[str, Any]) -> Any:
    from jsonschema_path import SchemaPath
    from openapi_core import V30ResponseValidator

    class ResponseChecker(V30ResponseValidator):
        def _find_path(self, request: Any) -> Any:
            # By the matched route, not by host and path, which the client chooses.
            method = "get" if request.method == "head" else request.method
            return self.path_finder.find(method, request.request.matched_route.pattern)

    return ResponseChecker(
        SchemaPath.from_dict(document),
        extra_media_type_deserializers={
            MEDIA_TYPE: json.loads,
            **dict.fromkeys(_TEXTS, lambda body: body.decode()),
        },
    )


@dataclass(frozen=True)
class DescribedRequest:
    """A request of Pyramid's, as openapi-core asks for it."""

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
        # With the boundary of multipart forms.
        return str(self.request.environ.get("CONTENT_TYPE", ""))

    @property
    def body(self) -> bytes:
        return bytes(self.request.body)


@dataclass(frozen=True)
class _Answer:
    """A response of Pyramid's, as openapi-core asks for it."""

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
