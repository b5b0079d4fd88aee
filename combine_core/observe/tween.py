"""The outermost tween, which sets the request id, logs the request, and handles errors without a view."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from pyramid.exceptions import URLDecodeError
from pyramid.response import Response
from pyramid_retry import is_error_retryable

from combine_core.observe.context import HEADER, Work, request_id, user_of, working_on
from combine_core.observe.statements import warn_of_repetition
from combine_core.settings import settings_of
from combine_core.settings.core import CoreSettings
from combine_core.web.paths import is_probe
from combine_core.web.problems import ProblemError, problem_document

if TYPE_CHECKING:
    from pyramid.registry import Registry
    from pyramid.request import Request

log = logging.getLogger(__name__)
access = logging.getLogger("combine_core.access")

_LONGEST_PATH = 500
_PROTECTION = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Handler = Callable[["Request"], Response]


def request_tween_factory(handler: Handler, registry: Registry) -> Handler:
    slow_ms = _slow_request_ms(registry)

    def request_tween(request: Request) -> Response:
        with working_on(request) as work:
            started = time.perf_counter()
            try:
                response = handler(request)
            except Exception as error:
                # pyramid_retry runs the request again.
                if is_error_retryable(request, error):
                    raise
                if isinstance(error, URLDecodeError):
                    response = _plain_response(request, 400, "The path is not UTF-8.")
                else:
                    log.exception("%s failed", _line(request))
                    # Tests that expect the error itself set this.
                    if request.environ.get("paste.throw_errors"):
                        raise
                    response = _last_resort(request)
            response.headers[HEADER] = request_id(request)
            if not _is_retried(request):
                seconds = time.perf_counter() - started
                _log_access(request, response.status_code, seconds)
                warn_of_repetition(work)
                if seconds * 1000 >= slow_ms:
                    _warn_of_slowness(request, work, response.status_code, seconds)
            return response

    return request_tween


def _is_retried(request: Request) -> bool:
    error = getattr(request, "exception", None)
    return error is not None and is_error_retryable(request, error)


def _log_access(request: Request, status: int, seconds: float) -> None:
    duration = round(seconds * 1000, 1)
    user = user_of(request)
    access.log(
        logging.DEBUG if _is_quiet(request, status) else logging.INFO,
        "%s %d %.1f ms%s",
        _line(request),
        status,
        duration,
        f" {user}" if user else "",
        # The address of the client itself if the server trusts its proxy.
        extra={
            "status": status,
            "duration": duration,
            "client": request.environ.get("REMOTE_ADDR"),
        },
    )


def _slow_request_ms(registry: Registry) -> int:
    try:
        return settings_of(registry, CoreSettings).slow_request_ms
    except LookupError:  # the application includes this package without the settings
        default: int = CoreSettings.model_fields["slow_request_ms"].default
        return default


def _warn_of_slowness(request: Request, work: Work, status: int, seconds: float) -> None:
    duration = round(seconds * 1000, 1)
    count = work.statements.total()
    database = round(work.database_seconds * 1000, 1)
    log.warning(
        "slow request: %s %d %.1f ms in route %s, of which %d statements took %.1f ms",
        _line(request),
        status,
        duration,
        work.route or "-",
        count,
        database,
        extra={
            "status": status,
            "duration": duration,
            "statements": count,
            "database_duration": database,
        },
    )


def _is_quiet(request: Request, status: int) -> bool:
    """Check whether the request is a successful probe, which comes every second."""
    return is_probe(request) and 200 <= status < 300


def _line(request: Request) -> str:
    """Return method and path, without the query, which may contain personal data."""
    environ = request.environ
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    shown = quote(path.encode("latin-1", "replace"), safe="/:@!$&'()*+,;=~")
    if len(shown) > _LONGEST_PATH:
        shown = f"{shown[:_LONGEST_PATH]}..."
    return f"{environ.get('REQUEST_METHOD', '-')[:20]} {shown or '/'}"


def _last_resort(request: Request) -> Response:
    """Return the response for an error without an error view, or with a view that failed."""
    detail = (
        f"The service failed. The log has the error under the request id {request_id(request)}."
    )
    return _plain_response(request, 500, detail)


def _plain_response(request: Request, status: int, detail: str) -> Response:
    """Return a text for browsers, or a problem document (RFC 9457) for programs."""
    if "text/html" in request.environ.get("HTTP_ACCEPT", ""):
        response = Response(f"{detail}\n", status=status, content_type="text/plain")
    else:
        response = problem_document(request, ProblemError(status, detail))
    # The tween that adds these headers to other responses is inside this one.
    response.headers.update(_PROTECTION)
    return response
