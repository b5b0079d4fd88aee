"""What a client sees that asked too often: a page for people, a problem document for programs."""

from __future__ import annotations

import json
from typing import Any

from pyramid.renderers import render_to_response
from pyramid.response import Response

from combine_auth.limits.limiter import RateLimited

_PAGE = "combine_auth:limits/too_many.jinja2"


def too_many_requests(error: RateLimited, request: Any) -> Response:
    """429 and ``Retry-After`` (RFC 6585, 4)."""
    request_id = getattr(request, "request_id", None)
    if "text/html" in request.environ.get("HTTP_ACCEPT", ""):
        values = {"identity": None, "retry_after": error.wait_seconds, "request_id": request_id}
        response = render_to_response(_PAGE, values, request=request)
    else:
        problem = {
            "type": "urn:combine:problem:rate-limited",
            "title": "Too Many Requests",
            "status": 429,
            "detail": error.detail,
            "request_id": request_id,
        }
        response = Response(
            json.dumps(problem).encode(), content_type="application/problem+json", charset=None
        )
    response.status_int = 429
    response.headers["Retry-After"] = str(error.wait_seconds)
    return response
