"""The outermost tween: it sets the request id, logs the request, and answers errors that no view handles."""

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
    """A tween around the whole request."""
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
                    response = _plain_answer(request, 400, "The path is not UTF-8.")
                else:
                    log.exception("%s failed", _line(request))
                    # Set by tests that expect the error itself.
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
    except LookupError:  # included alone, in an application without our settings
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
    """Whether it is a successful probe; these come every second."""
    return is_probe(request) and 200 <= status < 300


def _line(request: Request) -> str:
    """Method and path, without the query, which may contain personal data."""
    environ = request.environ
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    shown = quote(path.encode("latin-1", "replace"), safe="/:@!$&'()*+,;=~")
    if len(shown) > _LONGEST_PATH:
        shown = f"{shown[:_LONGEST_PATH]}..."
    return f"{environ.get('REQUEST_METHOD', '-')[:20]} {shown or '/'}"


def _last_resort(request: Request) -> Response:
    """The answer if no error view was found, or if it failed itself."""
    known_as = request_id(request)
    detail = f"The service failed. The log tells why, under the request id {known_as}."
    return _plain_answer(request, 500, detail)


def _plain_answer(request: Request, status: int, detail: str) -> Response:
    """A text for browsers, a problem document (RFC 9457) for programs."""
    if "text/html" in request.environ.get("HTTP_ACCEPT", ""):
        response = Response(f"{detail}\n", status=status, content_type="text/plain")
    else:
        response = problem_document(request, ProblemError(status, detail))
    # This tween is outside the one that adds them to other responses.
    response.headers.update(_PROTECTION)
    return response
