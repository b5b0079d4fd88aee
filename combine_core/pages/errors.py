"""Error pages. They ask neither the database nor who is there: either may be what failed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyramid.csrf import BadCSRFOrigin, BadCSRFToken
from pyramid.exceptions import PredicateMismatch, URLDecodeError
from pyramid.httpexceptions import (
    HTTPError,
    HTTPException,
    HTTPForbidden,
    HTTPNotFound,
    HTTPSeeOther,
    HTTPUnauthorized,
)
from pyramid.renderers import render_to_response
from pyramid_retry import is_error_retryable
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from combine_core.database import InvalidCursor
from combine_core.pages.navigation import path_if_routed

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry
    from pyramid.request import Request
    from pyramid.response import Response

logger = logging.getLogger(__name__)

_TEMPLATE = "combine_core:pages/error.jinja2"
_RETRY_AFTER_S = "5"
# SQLSTATEs by which PostgreSQL says that it is there but cannot do this now: a time-out of a
# statement or a lock, a conflict between transactions.
_BUSY = ("57014", "55P03", "40")


def includeme(config: Configurator) -> None:
    """Add the views."""
    config.add_exception_view(ask_to_sign_in, context=HTTPUnauthorized, for_page=True)
    config.add_exception_view(forbid, context=HTTPForbidden, for_page=True)
    config.add_exception_view(not_found, context=HTTPNotFound, for_page=True)
    config.add_exception_view(refuse_form, context=BadCSRFToken, for_page=True)
    config.add_exception_view(refuse_form, context=BadCSRFOrigin, for_page=True)
    config.add_exception_view(refuse_cursor, context=InvalidCursor, for_page=True)
    config.add_exception_view(refuse_path, context=URLDecodeError, for_page=True)
    config.add_exception_view(show_http_error, context=HTTPError, for_page=True)
    config.add_exception_view(show_failure, context=Exception, for_page=True)


@dataclass(frozen=True)
class _Words:
    """What an error page says: what happened, and what to do."""

    title: str
    text: str
    # For the people who run the service.
    steps: tuple[str, ...] = ()


_WORDS = {
    400: _Words(
        "This request cannot be understood", "Go back, reload the page, and send it again."
    ),
    401: _Words(
        "You are not signed in",
        "This service has no sign-in page. Ask the people who run it how to get in.",
    ),
    403: _Words(
        "You may not do this",
        "Your role in this project does not allow it. An owner of the project can change it.",
    ),
    404: _Words(
        "There is nothing here",
        "The address may be mistyped, or the thing is in a project that you are no member of.",
    ),
    405: _Words(
        "This address does not work that way",
        "It was probably opened from a form that was sent before. Go back and start from there.",
    ),
    413: _Words(
        "That is too large", "Send a smaller file, or split the text into several sources."
    ),
    500: _Words(
        "Something went wrong here",
        "It is the service's fault, not yours, and nothing was changed. Try again. If it happens"
        " again, tell the people who run the service, with the request id below.",
    ),
}
_EXPIRED_FORM = _Words(
    "This form is too old",
    "The page was open for too long, or the form came from another site. Nothing was changed."
    " Go back, reload the page, and send it again.",
)
_UNKNOWN_LIST = _Words(
    "This part of the list is not known",
    "The address was changed or cut off. Open the list from its beginning.",
)
# The steps are the Resolution of "Database Connection Failed" in the runbook.
_DATABASE_AWAY = _Words(
    "The database cannot be reached",
    "Nothing was changed, and nothing is lost. Try again in a few seconds.",
    steps=(
        "Verify that the database is running.",
        "Check the format of DATABASE_URL.",
        "Verify network connectivity.",
        "Check the credentials.",
    ),
)
_DATABASE_BUSY = _Words(
    "The database is busy",
    "It did not get to this in time, and nothing was changed. Try again in a few seconds.",
)


def late_errors_tween_factory(
    handler: Callable[[Request], Response],
    registry: Registry,  # noqa: ARG001
) -> Callable[[Request], Response]:
    """The tween around the transaction: what fails at the commit gets an error view too."""

    def late_errors_tween(request: Request) -> Response:
        try:
            return handler(request)
        except Exception as error:
            if is_error_retryable(request, error):
                raise
            return request.invoke_exception_view(reraise=True)

    return late_errors_tween


def ask_to_sign_in(_error: HTTPException, request: Request) -> Response:
    """To the sign-in page and back; without one, say so."""
    back = request.path_qs if request.method in {"GET", "HEAD"} else request.path
    sign_in = path_if_routed(request, "auth.sign_in", _query={"next": back})
    if sign_in is not None:
        return HTTPSeeOther(sign_in)
    response = _page(request, 401, _WORDS[401])
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def forbid(error: HTTPForbidden, request: Request) -> Response:
    """403, or the sign-in page where a view of another add-on left the question to us."""
    if request.identity is None:
        return ask_to_sign_in(error, request)
    return _page(request, 403, _WORDS[403])


def not_found(error: HTTPNotFound, request: Request) -> Response:
    """404; or 405 where the address is right and the method is not."""
    if not isinstance(error, PredicateMismatch) or request.matched_route is None:
        return _page(request, 404, _WORDS[404])
    methods = set(_methods_of(request.registry, request.matched_route.name))
    if request.method in methods:
        # Right in everything but the hidden field that tells the forms of a page apart.
        return _page(request, 400, _WORDS[400])
    response = _page(request, 405, _WORDS[405])
    response.allow = sorted(methods)
    return response


def _methods_of(registry: Registry, route_name: str) -> Iterator[str]:
    for entry in registry.introspector.get_category("views") or ():
        view = entry["introspectable"]
        if view["route_name"] == route_name:
            yield from view["request_methods"] or ()


def refuse_form(_error: HTTPException, request: Request) -> Response:
    """400: the form did not come from a page of ours that is still good."""
    return _page(request, 400, _EXPIRED_FORM)


def refuse_cursor(_error: InvalidCursor, request: Request) -> Response:
    """400: a cursor that no list gave."""
    return _page(request, 400, _UNKNOWN_LIST)


def refuse_path(_error: URLDecodeError, request: Request) -> Response:
    """404: a path that is not UTF-8 leads nowhere."""
    return _page(request, 404, _WORDS[404])


def show_http_error(error: HTTPError, request: Request) -> Response:
    """Whatever else a view has raised, with its own words where it has some."""
    words = _WORDS.get(error.status_int, _Words(error.title, error.explanation))
    if error.detail:
        words = _Words(words.title, error.detail, words.steps)
    response = _page(request, error.status_int, words)
    for name in ("Retry-After", "Allow", "WWW-Authenticate"):
        if name in error.headers:
            response.headers[name] = error.headers[name]
    return response


def show_failure(error: Exception, request: Request) -> Response:
    """503 while the database is away or busy; 500 for a fault of ours, which is logged."""
    trouble = next(filter(None, map(_database_trouble, _causes(error))), None)
    if trouble is not None:
        logger.error("%s: %s", trouble.title, str(error).partition("\n")[0])
        response = _page(request, 503, trouble)
        response.headers["Retry-After"] = _RETRY_AFTER_S
        return response
    logger.error("%s failed", request.method, exc_info=error)
    return _page(request, 500, _WORDS[500])


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _database_trouble(error: BaseException) -> _Words | None:
    if isinstance(error, PoolTimeout):
        return _DATABASE_BUSY
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(error.orig, "pgcode", None) or ""
    if state.startswith(_BUSY):
        return _DATABASE_BUSY
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return _DATABASE_AWAY
    return None


def _page(request: Request, status: int, words: _Words) -> Response:
    values: dict[str, Any] = {
        "identity": None,
        "status": status,
        "words": words,
        "request_id": getattr(request, "request_id", None),
    }
    response = render_to_response(_TEMPLATE, values, request=request)
    response.status_int = status
    return response
