"""Maps exceptions to error responses, for the API and for the pages.

Every exception is translated to a :class:`ProblemError`. Below ``/api/`` the response is a problem document
(RFC 9457, ``application/problem+json``). Elsewhere :mod:`combine_core.pages.errors` renders a page. An
add-on registers the translation of its own exceptions::

    config.add_problem(MyError, lambda error: ProblemError(422, str(error)))

An exception without a translation uses that of its nearest base class, or becomes 500.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from pyramid.exceptions import BadCSRFOrigin, BadCSRFToken
from pyramid.httpexceptions import HTTPException, HTTPForbidden
from pyramid.response import Response
from pyramid_retry import is_error_retryable
from pyramid_tm import is_tm_active, maybe_tag_retryable
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NoResultFound,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from combine_core.database import InvalidCursor
from combine_core.postgres.diagnosis import ADVICE, Cause, cause_of, explain_error
from combine_core.text import InvalidText, TextTooLarge
from combine_core.web.paths import API_PATTERN, is_api

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry
    from pyramid.request import Request

    Handler = Callable[[Request], Response]

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# Prefixes of SQLSTATEs that a retry may resolve: conflicts, too many connections, locks, timeouts.
_BUSY = ("40", "53300", "55P03", "57014")
DATABASE_RETRY_S = 5
_REGISTRY = "combine_core.web.problems"

# The reason phrases of RFC 9110. Python's own differ between its versions.
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
# For exceptions of libraries, whose own texts may repeat the client's input or reveal internals.
DETAILS = {
    400: "The request is malformed.",
    401: "Send a valid token: Authorization: Bearer TOKEN.",
    403: "Your role in this project does not allow this. Ask an owner of the project.",
    # The same text for a missing resource and for one that the client may not see.
    404: "The resource does not exist, or you may not see it.",
    405: "The resource does not support this method. The Allow header lists the supported ones.",
    500: "The service failed to process the request. Its log has the details under the request id.",
}
# Statuses whose exceptions keep their own text. For other statuses, Pyramid's text is for developers.
_STATUSES_WITH_OWN_DETAIL = {400, 409, 413, 415, 422, 429}
_KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")


@dataclass(frozen=True)
class FieldError:
    """An error in one field of the input.

    :param field: the path of the field, such as ``name`` or ``sources/0``; empty for the whole input
    :param message: the error and its remedy
    """

    field: str
    message: str


class ProblemError(Exception):
    """An error response.

    :param detail: the error and its remedy, without secrets
    :param kind: the last part of the problem's type; ``None`` if the status is specific enough
    :param cause: the reason why the database cannot be used, if it is known
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
    """Return the problem of a request with invalid parameters."""
    detail = "A parameter of the request is invalid. See errors."
    return ProblemError(400, detail, kind="invalid-request", errors=errors)


def invalid_content(*errors: FieldError, status: int = 422) -> ProblemError:
    """Return the problem of a request whose body is well-formed but invalid."""
    detail = "The body of the request is invalid. See errors."
    return ProblemError(status, detail, kind="invalid-content", errors=errors)


Failure = TypeVar("Failure", bound=Exception)
Translate = Callable[[Any], ProblemError]


def add_problem(
    config: Configurator, error: type[Failure], translate: Callable[[Failure], ProblemError]
) -> None:
    """Register the translation of an exception class to a problem (a directive).

    :param translate: returns the problem, whose texts must not contain secrets
    """

    def register() -> None:
        config.registry.setdefault(_REGISTRY, {})[error] = translate

    name = f"{error.__module__}.{error.__qualname__}"
    intr = config.introspectable("combine problems", name, name, "problem")
    intr.update({"error": error, "translate": translate})
    config.action(("combine problem", error), register, introspectables=(intr,))


def problem_of(registry: Registry, error: Exception) -> ProblemError:
    """Translate an exception with the registered translations. An unexpected one becomes 500."""
    added: Mapping[type, Translate] = registry.get(_REGISTRY, {})
    for kind in type(error).__mro__:
        translate = added.get(kind) or _BUILT_IN.get(kind)
        if translate is not None:
            return translate(error)
    return ProblemError(500, DETAILS[500])


def _http_problem(error: HTTPException) -> ProblemError:
    status: int = error.status_int
    if status < 400:
        return ProblemError(500, DETAILS[500])
    headers = {name: error.headers[name] for name in _KEPT_HEADERS if name in error.headers}
    keeps_detail = status in _STATUSES_WITH_OWN_DETAIL or is_raised_by_view(error)
    detail = (keeps_detail and error.detail) or DETAILS.get(status) or error.title
    return ProblemError(status, detail, headers=headers)


def is_raised_by_view(error: HTTPException) -> bool:
    """Return whether one of our views raised this 403. The one that Pyramid raises has a result."""
    return isinstance(error, HTTPForbidden) and error.result is None


def _csrf_problem(error: BadCSRFToken | BadCSRFOrigin) -> ProblemError:  # noqa: ARG001
    detail = (
        "A request with a session cookie needs the header X-CSRF-Token to change something."
        " Programs send Authorization: Bearer TOKEN instead of a cookie."
    )
    return ProblemError(400, detail, kind="csrf")


def database_problem(error: Exception) -> ProblemError | None:
    """Return the problem if the database is busy or cannot be reached, else ``None``."""
    if isinstance(error, PoolTimeout):
        return _retry_later("database-busy", error)
    if not isinstance(error, DBAPIError):
        return None
    code = getattr(error.orig, "pgcode", None) or ""
    if code.startswith(_BUSY):
        return _retry_later("database-busy", error)
    # The driver does not class every fault as operational: a read-only server, damaged files, missing rights.
    is_operational = isinstance(error, OperationalError | InterfaceError)
    if is_operational or error.connection_invalidated or cause_of(code) is not None:
        return _retry_later("database-away", error)
    return None


def _database_problem(error: Exception) -> ProblemError:
    problem = database_problem(error)
    if problem is not None:
        return problem
    if isinstance(error, IntegrityError):
        detail = "A related resource was changed or deleted. Read it again, and retry the request."
        return ProblemError(409, detail)
    return ProblemError(500, DETAILS[500])


def _retry_later(kind: str, error: Exception) -> ProblemError:
    diagnosis = explain_error(error)
    state, cause = "busy", None if diagnosis is None else diagnosis.cause
    if kind == "database-away":
        state, cause = "not available at the moment", cause or Cause.UNKNOWN
    detail = f"The database is {state}. Try again in {DATABASE_RETRY_S} seconds."
    headers = {"Retry-After": str(DATABASE_RETRY_S)}
    return ProblemError(503, detail, kind=kind, cause=cause, headers=headers)


def _text_problem(error: InvalidText) -> ProblemError:
    status = 413 if isinstance(error, TextTooLarge) else 422
    return invalid_content(FieldError(error.field, error.why), status=status)


# Errors of libraries and of the modules below this one. Each package adds its own errors.
_BUILT_IN: Mapping[type, Translate] = {
    ProblemError: lambda error: error,
    HTTPException: _http_problem,
    BadCSRFToken: _csrf_problem,
    BadCSRFOrigin: _csrf_problem,
    InvalidText: _text_problem,
    InvalidCursor: lambda error: invalid_request(FieldError("cursor", str(error))),
    PoolTimeout: _database_problem,
    DBAPIError: _database_problem,
    # The object existed when the request began, and was deleted during the request.
    NoResultFound: lambda error: ProblemError(404, DETAILS[404]),  # noqa: ARG005
}


def problem_response(request: Request, error: Exception) -> Response:
    """Return the problem document for an exception, and log the errors that concern the operator."""
    problem = problem_of(request.registry, error)
    if problem.status == 401:
        problem.headers["WWW-Authenticate"] = _challenge(request)
    if not _will_be_repeated(request, error):
        log_problem(problem, error)
    return problem_document(request, problem)


def _will_be_repeated(request: Request, error: Exception) -> bool:
    """Return whether pyramid_retry will repeat the request, so that its error concerns nobody."""
    if is_tm_active(request):
        # Otherwise, pyramid_tm marks the error only after the tween below.
        maybe_tag_retryable(request, (type(error), error, None))
    return bool(is_error_retryable(request, error))


def problem_document(request: Request, problem: ProblemError) -> Response:
    """Return the response with the problem document (RFC 9457)."""
    body: dict[str, Any] = {
        "type": f"urn:combine:problem:{problem.kind}" if problem.kind else "about:blank",
        "title": TITLES.get(problem.status, "Error"),
        "status": problem.status,
        "detail": problem.detail,
        "instance": quote(request.environ.get("PATH_INFO", "").encode("latin-1")),
        "request_id": getattr(request, "request_id", None),
    }
    if problem.cause is not None:
        body["cause"] = problem.cause.value
    if problem.errors:
        body["errors"] = [asdict(field_error) for field_error in problem.errors]
    response = Response(json.dumps(body).encode(), status=problem.status)
    response.headers["Content-Type"] = MEDIA_TYPE
    response.headers.update(problem.headers)
    return response


def log_problem(problem: ProblemError, error: Exception) -> None:
    """Log an error of the service or of its database. Errors of the client are not logged."""
    # Only the class and the code: a driver's message can contain the connection string.
    reason = type(getattr(error, "orig", None) or error).__name__
    if problem.cause is not None:
        reason = f"{problem.cause} ({reason}). Remedy: {ADVICE[problem.cause].line}"
    if problem.kind == "database-busy":
        logger.warning("The database is busy (timeout or conflict): %s", reason)
    elif problem.kind == "database-away":
        logger.warning("The database cannot be reached (timeout or away): %s", reason)
    elif problem.status == 500:
        logger.error("An unexpected exception ended the request", exc_info=error)


def _challenge(request: Request) -> str:
    # RFC 6750, section 3: the response to a request without a token has no error code.
    has_token = "Authorization" in request.headers
    return 'Bearer realm="combine"' + (', error="invalid_token"' if has_token else "")


def problem_tween_factory(handler: Handler, registry: Registry) -> Handler:  # noqa: ARG001
    """Make the tween that turns exceptions below ``/api/`` into problem documents."""

    def problem_tween(request: Request) -> Response:
        if not is_api(request):
            return handler(request)
        try:
            return handler(request)
        except Exception as error:  # noqa: BLE001 - problem_response logs it
            # pyramid_tm and pyramid_retry look here to decide whether to try again.
            request.exception = error
            request.exc_info = sys.exc_info()
            return problem_response(request, error)

    return problem_tween


def problem_view(error: Exception, request: Request) -> Response:
    """Render an error of the commit, for which pyramid_tm looks for an error view."""
    return problem_response(request, error)


def includeme(config: Configurator) -> None:
    """Add the directive, and a view for errors of the commit below ``/api/``."""
    config.add_directive("add_problem", add_problem)
    config.add_exception_view(problem_view, context=Exception, path_info=API_PATTERN)
