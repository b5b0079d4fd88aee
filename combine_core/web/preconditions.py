"""Handles ``ETag``, ``If-None-Match`` and ``If-Match`` (RFC 9110, 8.8.3 and 13.1) for the API.

Every response to a GET has an ETag, the digest of its body. A view that changes a resource names the view
that shows it: ``View("PUT", change_thing, ..., if_match=get_thing)``. A request with ``If-Match`` then fails
with 412 if the resource has changed since the client read it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.viewderivers import VIEW
from sqlalchemy import func, select

from combine_core.web.endpoints import json_bytes
from combine_core.web.problems import ProblemError

View = Callable[[Any, Request], Response]


def compare_etags(view: View, info: Any) -> View:
    """Add ETags to responses, and check ``If-Match`` before a change (a view deriver)."""
    if not info.options.get("openapi"):
        return view
    show = info.options.get("if_match")

    def answer(context: Any, request: Request) -> Response:
        if show is not None and "HTTP_IF_MATCH" in request.environ:
            _check_unchanged(show, context, request)
        response = view(context, request)
        is_read = request.method in ("GET", "HEAD")
        if (is_read or show is not None) and response.status_int in (200, 201):
            response.etag = _etag(response.body)
            # WebOb then answers a GET with If-None-Match by 304.
            response.conditional_response = is_read
        return response

    return answer


compare_etags.options = ("if_match",)  # type: ignore[attr-defined]


def _etag(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _check_unchanged(show: Callable[..., Any], context: Any, request: Request) -> None:
    session = request.dbsession
    # The second of two requests with the same ETag waits here, and then sees the change of the first.
    number = func.hashtextextended(f"change of {request.path}", 0)
    session.execute(select(func.pg_advisory_xact_lock(number)))
    # Rows that were loaded before the lock may be out of date. The view loads them again as well.
    session.expire_all()
    body = json_bytes(show(context, request))
    session.expire_all()
    if _etag(body) not in request.if_match:
        raise ProblemError(
            412,
            "The resource has changed since you read it. Read it again, and send the request with the"
            " new ETag in If-Match.",
        )


def includeme(config: Configurator) -> None:
    """Add the view deriver, inside the one of combine_core.web.idempotency."""
    config.add_view_deriver(compare_etags, under="answer_once", over=VIEW)
