"""Errors as problem documents (RFC 9457): the one place that turns exceptions into answers.

Everything that goes wrong below ``/api/`` is answered with ``application/problem+json``. An add-on
teaches this module an exception of its own::

    @problem_of.register
    def _(error: MyError) -> ProblemError:
        return ProblemError(422, str(error))
"""

from __future__ import annotations

import functools
import json
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from procrastinate.exceptions import ConnectorException
from pyramid.exceptions import BadCSRFOrigin, BadCSRFToken
from pyramid.httpexceptions import HTTPException, HTTPForbidden
from pyramid.response import Response
from pyramid.tweens import EXCVIEW, MAIN
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from combine_core.database import InvalidCursor
from combine_core.lines import UnknownLine
from combine_core.llm import UnknownModel
from combine_core.postgres.diagnosis import ADVICE, Cause, explain_error
from combine_core.runs import InvalidRun, QueueFull
from combine_core.sources import UnsupportedFile
from combine_core.text import InvalidText, TextTooLarge

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry
    from pyramid.request import Request

    Handler = Callable[[Request], Response]

logger = logging.getLogger(__name__)

TWEEN = "combine_core.web.problems.problem_tween_factory"
MEDIA_TYPE = "application/problem+json"
# SQLSTATEs of what may go well next time: conflicts, locks, time-outs, too many connections.
_BUSY = ("40", "53300", "55P03", "57014")
_API_PATH = r"/api(/|$)"
DATABASE_RETRY_S = 5
QUEUE_RETRY_S = 30

# RFC 9110; Python's own phrases differ between its versions.
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
# Of exceptions that others raise, whose own texts may repeat what the client sent or tell too much.
_DETAILS = {
    400: "The request is malformed.",
    401: "Send a valid token: Authorization: Bearer TOKEN.",
    403: "Your role in this project does not allow this. Ask an owner of the project.",
    # One text for what does not exist and for what belongs to others.
    404: "There is nothing here that you can see.",
    405: "This cannot be done here. The header Allow names what can.",
    500: "Something went wrong in the service. Its log has more under the request id.",
}
# Where a text of whoever raised it is shown; Pyramid's own for the others are for developers.
_OWN_DETAIL = {400, 409, 413, 415, 422, 429}
_KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong with the input.

    :param field: where, such as ``name`` or ``sources/0``; empty for the whole
    :param message: what is wrong and what to do
    """

    field: str
    message: str


class ProblemError(Exception):
    """An error as the client will see it.

    :param detail: what is wrong and what to do; holds nothing secret
    :param kind: the last part of the problem's type; ``None`` where the status says all
    :param cause: why the database cannot be used, where that is known
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        cause: Cause | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.cause = cause
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


def invalid_request(*errors: FieldError) -> ProblemError:
    """A parameter in the URL is wrong."""
    detail = "A parameter of the request is wrong. See errors."
    return ProblemError(400, detail, kind="invalid-request", errors=errors)


def invalid_content(*errors: FieldError, status: int = 422) -> ProblemError:
    """The body is well-formed, but what it says cannot be taken."""
    detail = "What was sent cannot be taken. See errors."
    return ProblemError(status, detail, kind="invalid-content", errors=errors)


@functools.singledispatch
def problem_of(error: Exception) -> ProblemError:  # noqa: ARG001
    """The problem that ``error`` is to the client; one that nobody expected is a 500."""
    return ProblemError(500, _DETAILS[500])


@problem_of.register
def _(error: ProblemError) -> ProblemError:
    return error


@problem_of.register
def _(error: HTTPException) -> ProblemError:
    status: int = error.status_int
    if status < 400:
        return ProblemError(500, _DETAILS[500])
    headers = {name: error.headers[name] for name in _KEPT_HEADERS if name in error.headers}
    own = error.detail if status in _OWN_DETAIL or _says_why(error) else None
    detail = own or _DETAILS.get(status) or error.title
    return ProblemError(status, detail, headers=headers)


def _says_why(error: HTTPException) -> bool:
    """Whether a view has refused this in its own words. What Pyramid raises has a result."""
    return isinstance(error, HTTPForbidden) and error.result is None


@problem_of.register
def _(error: BadCSRFToken | BadCSRFOrigin) -> ProblemError:  # noqa: ARG001
    detail = (
        "A browser's session may change something only with the header X-CSRF-Token."
        " Programs send Authorization: Bearer TOKEN instead of a cookie."
    )
    return ProblemError(400, detail, kind="csrf")


@problem_of.register
def _(error: InvalidText) -> ProblemError:
    return invalid_content(FieldError(error.field, error.why))


@problem_of.register
def _(error: TextTooLarge) -> ProblemError:
    return invalid_content(FieldError(error.field, error.why), status=413)


@problem_of.register
def _(error: UnsupportedFile) -> ProblemError:
    return invalid_content(FieldError("file", str(error)), status=415)


@problem_of.register
def _(error: InvalidRun) -> ProblemError:
    return invalid_content(FieldError(error.field, str(error)))


@problem_of.register
def _(error: UnknownLine) -> ProblemError:
    return invalid_content(FieldError("line", str(error)))


@problem_of.register
def _(error: UnknownModel) -> ProblemError:
    return invalid_content(FieldError("model", str(error)))


@problem_of.register
def _(error: InvalidCursor) -> ProblemError:
    return invalid_request(FieldError("cursor", str(error)))


@problem_of.register
def _(error: QueueFull) -> ProblemError:
    headers = {"Retry-After": str(QUEUE_RETRY_S)}
    return ProblemError(503, str(error), kind="queue-full", headers=headers)


@problem_of.register
def _(error: PoolTimeout) -> ProblemError:
    return _later("database-busy", error)


@problem_of.register
def _(error: ConnectorException) -> ProblemError:
    return _later("database-away", error.__cause__)


@problem_of.register
def _(error: DBAPIError) -> ProblemError:
    if (getattr(error.orig, "pgcode", None) or "").startswith(_BUSY):
        return _later("database-busy", error)
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return _later("database-away", error)
    if isinstance(error, IntegrityError):
        detail = "Somebody has just changed or removed what this rests on. Look again."
        return ProblemError(409, detail)
    return ProblemError(500, _DETAILS[500])


def _later(kind: str, error: BaseException | None) -> ProblemError:
    what, cause = "busy", None
    if error is not None and (diagnosis := explain_error(error)) is not None:
        cause = diagnosis.cause
    if kind == "database-away":
        what, cause = "not available at the moment", cause or Cause.UNKNOWN
    detail = f"The database is {what}. Try again in {DATABASE_RETRY_S} seconds."
    headers = {"Retry-After": str(DATABASE_RETRY_S)}
    return ProblemError(503, detail, kind=kind, cause=cause, headers=headers)


def problem_response(request: Request, error: Exception) -> Response:
    """The answer to a request that failed with ``error``; logs what the operator must know."""
    problem = problem_of(error)
    if problem.status == 401:
        problem.headers["WWW-Authenticate"] = _challenge(request)
    _log(problem, error)
    body: dict[str, Any] = {
        "type": f"urn:combine:problem:{problem.kind}" if problem.kind else "about:blank",
        "title": _TITLES.get(problem.status, "Error"),
        "status": problem.status,
        "detail": problem.detail,
        "instance": quote(request.environ.get("PATH_INFO", "").encode("latin-1")),
        "request_id": request.request_id,
    }
    if problem.cause is not None:
        body["cause"] = problem.cause.value
    if problem.errors:
        body["errors"] = [asdict(field_error) for field_error in problem.errors]
    response = Response(json.dumps(body).encode(), status=problem.status)
    response.headers["Content-Type"] = MEDIA_TYPE
    response.headers.update(problem.headers)
    return response


def _log(problem: ProblemError, error: Exception) -> None:
    # The class and the code alone: a driver's text can hold the connection string.
    seen = type(getattr(error, "orig", None) or error).__name__
    if problem.cause is not None:
        seen = f"{problem.cause} ({seen}). Remedy: {ADVICE[problem.cause].line}"
    if problem.kind == "database-busy":
        logger.warning("The database is busy (timeout or conflict): %s", seen)
    elif problem.kind == "database-away":
        logger.warning("The database cannot be reached (timeout or away): %s", seen)
    elif problem.status >= 500 and not isinstance(error, QueueFull):
        logger.error("An internal error", exc_info=error)


def _challenge(request: Request) -> str:
    # RFC 6750, section 3: a request without a token gets no error code.
    given = "Authorization" in request.headers
    return 'Bearer realm="combine"' + (', error="invalid_token"' if given else "")


def is_api(request: Request) -> bool:
    """Whether a program asks, not a person."""
    return re.match(_API_PATH, request.environ.get("PATH_INFO", "")) is not None


def problem_tween_factory(handler: Handler, registry: Registry) -> Handler:  # noqa: ARG001
    """Answers what is raised below ``/api/``, as Pyramid's own tween does it with error views."""

    def problem_tween(request: Request) -> Response:
        if not is_api(request):
            return handler(request)
        try:
            return handler(request)
        except Exception as error:  # noqa: BLE001 - each becomes an answer, and is logged there
            # pyramid_tm and pyramid_retry look here for what is to be tried again.
            request.exception = error
            request.exc_info = sys.exc_info()
            return problem_response(request, error)

    return problem_tween


def problem_view(error: Exception, request: Request) -> Response:
    """Answers what fails at the commit: pyramid_tm looks for an error view then."""
    return problem_response(request, error)


def includeme(config: Configurator) -> None:
    """Answer every error below ``/api/``."""
    # Inside Pyramid's own error views: below /api/ every error is ours, whatever views an
    # application registers for its pages.
    config.add_tween(TWEEN, under=EXCVIEW, over=MAIN)
    config.add_exception_view(problem_view, context=Exception, path_info=_API_PATH)
