"""``ETag``, ``If-None-Match`` and ``If-Match`` (RFC 9110, 8.8.3 and 13.1) for the endpoints of the API.

Every answer to a GET has an ETag, the digest of its body. A view that changes something names the view that
shows it: ``View("PUT", change_thing, ..., if_match=get_thing)``. A request with ``If-Match`` then changes the
thing only if it is still as the client has seen it.
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
    """View deriver: gives answers their ETag, and refuses changes of what is no longer the same."""
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
    # Of two requests with the same ETag, the second one waits, and finds the change of the first.
    number = func.hashtextextended(f"change of {request.path}", 0)
    session.execute(select(func.pg_advisory_xact_lock(number)))
    # What was read before the lock may have changed; what is read now may be changed by the view.
    session.expire_all()
    body = json_bytes(show(context, request))
    session.expire_all()
    if _etag(body) not in request.if_match:
        raise ProblemError(
            412,
            "This has changed since you read it. Read it again, and decide anew."
            " If-Match takes the ETag of that answer.",
        )


def includeme(config: Configurator) -> None:
    """Add the deriver, inside that of combine_core.web.idempotency."""
    config.add_view_deriver(compare_etags, under="answer_once", over=VIEW)
