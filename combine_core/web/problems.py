"""How errors are answered: one registry for programs and people.

Every error is translated to a :class:`ProblemError`. Below ``/api/`` the answer is a problem document
(RFC 9457, ``application/problem+json``); elsewhere :mod:`combine_core.pages.errors` shows a page. An
add-on says how an exception of its own is answered::

    config.add_problem(MyError, lambda error: ProblemError(422, str(error)))

An exception without an entry of its own is answered like its base class, in the end with 500.
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
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
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
# SQLSTATEs that may go well next time: conflicts, too many connections, locks, time-outs.
_BUSY = ("40", "53300", "55P03", "57014")
DATABASE_RETRY_S = 5
_REGISTRY = "combine_core.web.problems"

# The phrases of RFC 9110. Those of Python differ between its versions.
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
# For exceptions raised by others, whose own texts may repeat what the client sent or tell too much.
DETAILS = {
    400: "The request is malformed.",
    401: "Send a valid token: Authorization: Bearer TOKEN.",
    403: "Your role in this project does not allow this. Ask an owner of the project.",
    # One text for what does not exist and for what the client may not see.
    404: "There is nothing here that you can see.",
    405: "This cannot be done here. The header Allow names what can.",
    500: "Something went wrong in the service. Its log has more under the request id.",
}
# Statuses whose exceptions show their own text. For the others, Pyramid's text is for developers.
_OWN_DETAIL = {400, 409, 413, 415, 422, 429}
KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")


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
    """The body is well-formed, but what it says cannot be accepted."""
    detail = "What was sent cannot be taken. See errors."
    return ProblemError(status, detail, kind="invalid-content", errors=errors)


Failure = TypeVar("Failure", bound=Exception)
Translate = Callable[[Any], ProblemError]


def add_problem(
    config: Configurator, error: type[Failure], translate: Callable[[Failure], ProblemError]
) -> None:
    """Directive: say how exceptions of the class ``error`` are answered.

    :param translate: makes the answer; its texts hold nothing secret
    """

    def register() -> None:
        config.registry.setdefault(_REGISTRY, {})[error] = translate

    name = f"{error.__module__}.{error.__qualname__}"
    intr = config.introspectable("combine problems", name, name, "problem")
    intr.update({"error": error, "translate": translate})
    config.action(("combine problem", error), register, introspectables=(intr,))


def problem_of(registry: Registry, error: Exception) -> ProblemError:
    """The answer to ``error``, as the registry of the application says; 500 for an unexpected one."""
    added: Mapping[type, Translate] = registry.get(_REGISTRY, {})
    for kind in type(error).__mro__:
        translate = added.get(kind) or _SHARED.get(kind)
        if translate is not None:
            return translate(error)
    return ProblemError(500, DETAILS[500])


def _http_problem(error: HTTPException) -> ProblemError:
    status: int = error.status_int
    if status < 400:
        return ProblemError(500, DETAILS[500])
    headers = {name: error.headers[name] for name in KEPT_HEADERS if name in error.headers}
    own = error.detail if status in _OWN_DETAIL or says_why(error) else None
    detail = own or DETAILS.get(status) or error.title
    return ProblemError(status, detail, headers=headers)


def says_why(error: HTTPException) -> bool:
    """Whether one of our views has forbidden this in its own words. What Pyramid raises has a result."""
    return isinstance(error, HTTPForbidden) and error.result is None


def _csrf_problem(error: BadCSRFToken | BadCSRFOrigin) -> ProblemError:  # noqa: ARG001
    detail = (
        "A browser's session may change something only with the header X-CSRF-Token."
        " Programs send Authorization: Bearer TOKEN instead of a cookie."
    )
    return ProblemError(400, detail, kind="csrf")


def database_problem(error: Exception) -> ProblemError | None:
    """The answer while the database is busy or cannot be reached; ``None`` for any other error."""
    if isinstance(error, PoolTimeout):
        return _later("database-busy", error)
    if not isinstance(error, DBAPIError):
        return None
    code = getattr(error.orig, "pgcode", None) or ""
    if code.startswith(_BUSY):
        return _later("database-busy", error)
    # The driver does not class every fault as operational: a read-only server, damaged files, missing rights.
    is_operational = isinstance(error, OperationalError | InterfaceError)
    if is_operational or error.connection_invalidated or cause_of(code) is not None:
        return _later("database-away", error)
    return None


def _database_problem(error: Exception) -> ProblemError:
    problem = database_problem(error)
    if problem is not None:
        return problem
    if isinstance(error, IntegrityError):
        detail = "Something that this depends on has just been changed or removed. Look again."
        return ProblemError(409, detail)
    return ProblemError(500, DETAILS[500])


def _later(kind: str, error: BaseException | None) -> ProblemError:
    what, cause = "busy", None
    if error is not None and (diagnosis := explain_error(error)) is not None:
        cause = diagnosis.cause
    if kind == "database-away":
        what, cause = "not available at the moment", cause or Cause.UNKNOWN
    detail = f"The database is {what}. Try again in {DATABASE_RETRY_S} seconds."
    headers = {"Retry-After": str(DATABASE_RETRY_S)}
    return ProblemError(503, detail, kind=kind, cause=cause, headers=headers)


def _text_problem(error: InvalidText) -> ProblemError:
    status = 413 if isinstance(error, TextTooLarge) else 422
    return invalid_content(FieldError(error.field, error.why), status=status)


# Errors of the libraries and of the modules below this one; each package adds those of its own.
_SHARED: Mapping[type, Translate] = {
    ProblemError: lambda error: error,
    HTTPException: _http_problem,
    BadCSRFToken: _csrf_problem,
    BadCSRFOrigin: _csrf_problem,
    InvalidText: _text_problem,
    InvalidCursor: lambda error: invalid_request(FieldError("cursor", str(error))),
    PoolTimeout: _database_problem,
    DBAPIError: _database_problem,
}


def problem_response(request: Request, error: Exception) -> Response:
    """The problem document for a request that failed with ``error``. Logs what the operator must know."""
    problem = problem_of(request.registry, error)
    if problem.status == 401:
        problem.headers["WWW-Authenticate"] = _challenge(request)
    log_problem(problem, error)
    return problem_document(request, problem)


def problem_document(request: Request, problem: ProblemError) -> Response:
    """The answer of RFC 9457 to ``problem``."""
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
    # The class and the code alone: a driver's text can hold the connection string.
    seen = type(getattr(error, "orig", None) or error).__name__
    if problem.cause is not None:
        seen = f"{problem.cause} ({seen}). Remedy: {ADVICE[problem.cause].line}"
    if problem.kind == "database-busy":
        logger.warning("The database is busy (timeout or conflict): %s", seen)
    elif problem.kind == "database-away":
        logger.warning("The database cannot be reached (timeout or away): %s", seen)
    elif problem.status == 500:
        logger.error("An internal error", exc_info=error)


def _challenge(request: Request) -> str:
    # RFC 6750, section 3: the response to a request without a token has no error code.
    given = "Authorization" in request.headers
    return 'Bearer realm="combine"' + (', error="invalid_token"' if given else "")


def problem_tween_factory(handler: Handler, registry: Registry) -> Handler:  # noqa: ARG001
    """Answers what is raised below ``/api/``, as Pyramid's own tween does it with error views."""

    def problem_tween(request: Request) -> Response:
        if not is_api(request):
            return handler(request)
        try:
            return handler(request)
        except Exception as error:  # noqa: BLE001 - each becomes an answer, and is logged there
            # pyramid_tm and pyramid_retry look here to decide whether to try again.
            request.exception = error
            request.exc_info = sys.exc_info()
            return problem_response(request, error)

    return problem_tween


def problem_view(error: Exception, request: Request) -> Response:
    """Answers what fails at the commit: pyramid_tm looks for an error view then."""
    return problem_response(request, error)


def includeme(config: Configurator) -> None:
    """Add the directive, and answer every error below ``/api/``."""
    config.add_directive("add_problem", add_problem)
    config.add_exception_view(problem_view, context=Exception, path_info=API_PATTERN)
