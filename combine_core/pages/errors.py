"""Error pages. They ask neither the database nor who is there: either may be what failed.

Below ``/api/`` errors are answered before they come here (:mod:`combine_core.web.problems`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from procrastinate.exceptions import ConnectorException
from pyramid.csrf import BadCSRFOrigin, BadCSRFToken
from pyramid.exceptions import PredicateMismatch
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
from combine_core.pages.error_words import (
    DATABASE_AWAY,
    DATABASE_BUSY,
    EXPIRED_FORM,
    UNKNOWN_LIST,
    WORDS,
    Words,
)
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
    config.add_exception_view(ask_to_sign_in, context=HTTPUnauthorized)
    config.add_exception_view(forbid, context=HTTPForbidden)
    config.add_exception_view(not_found, context=HTTPNotFound)
    config.add_exception_view(refuse_form, context=BadCSRFToken)
    config.add_exception_view(refuse_form, context=BadCSRFOrigin)
    config.add_exception_view(refuse_cursor, context=InvalidCursor)
    config.add_exception_view(show_http_error, context=HTTPError)
    config.add_exception_view(show_failure, context=Exception)


def ask_to_sign_in(_error: HTTPException, request: Request) -> Response:
    """To the sign-in page and back; without one, say so."""
    back = request.path_qs if request.method in {"GET", "HEAD"} else request.path
    sign_in = path_if_routed(request, "auth.sign_in", _query={"next": back})
    if sign_in is not None:
        return HTTPSeeOther(sign_in)
    response = _page(request, 401, WORDS[401])
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def forbid(error: HTTPForbidden, request: Request) -> Response:
    """403, or the sign-in page where a view of another add-on left the question to us."""
    if request.identity is None:
        return ask_to_sign_in(error, request)
    words = WORDS[403]
    # What Pyramid raises has a result, and words for developers.
    if error.detail and error.result is None:
        words = Words(words.title, error.detail)
    return _with_headers_of(error, _page(request, 403, words))


def not_found(error: HTTPNotFound, request: Request) -> Response:
    """404; or 405 where the address is right and the method is not."""
    if not isinstance(error, PredicateMismatch) or request.matched_route is None:
        return _page(request, 404, WORDS[404])
    methods = set(_methods_of(request.registry, request.matched_route.name))
    if "GET" in methods:
        methods.add("HEAD")
    if request.method in methods:
        # Right in everything but the hidden field that tells the forms of a page apart.
        return _page(request, 400, WORDS[400])
    response = _page(request, 405, WORDS[405])
    response.allow = sorted(methods)
    return response


def _methods_of(registry: Registry, route_name: str) -> Iterator[str]:
    for entry in registry.introspector.get_category("views") or ():
        view = entry["introspectable"]
        if view["route_name"] == route_name:
            allowed = view["request_methods"] or ()
            yield from (allowed,) if isinstance(allowed, str) else allowed


def refuse_form(_error: HTTPException, request: Request) -> Response:
    """400: the form did not come from a page of ours that is still good."""
    return _page(request, 400, EXPIRED_FORM)


def refuse_cursor(_error: InvalidCursor, request: Request) -> Response:
    """400: a cursor that no list gave."""
    return _page(request, 400, UNKNOWN_LIST)


def show_http_error(error: HTTPError, request: Request) -> Response:
    """Whatever else a view has raised, with its own words where it has some."""
    words = WORDS.get(error.status_int, Words(error.title, error.explanation))
    if error.detail:
        words = Words(words.title, error.detail, words.steps)
    return _with_headers_of(error, _page(request, error.status_int, words))


def _with_headers_of(error: HTTPException, response: Response) -> Response:
    for name in ("Retry-After", "Allow", "WWW-Authenticate"):
        if name in error.headers:
            response.headers[name] = error.headers[name]
    return response


def show_failure(error: Exception, request: Request) -> Response:
    """503 while the database is away or busy; 500 for a fault of ours, which is logged."""
    trouble = _database_trouble(error)
    # What is tried again is no news yet.
    final = not is_error_retryable(request, error)
    if trouble is None:
        if final:
            logger.error("An internal error", exc_info=error)
        return _page(request, 500, WORDS[500])
    if final:
        # The class alone: a driver's text can hold the connection string.
        cause = type(getattr(error, "orig", None) or error).__name__
        logger.warning("%s (timeout or away): %s", trouble.title, cause)
    response = _page(request, 503, trouble)
    response.headers["Retry-After"] = _RETRY_AFTER_S
    return response


def _database_trouble(error: Exception) -> Words | None:
    if isinstance(error, PoolTimeout):
        return DATABASE_BUSY
    if isinstance(error, ConnectorException):
        return DATABASE_AWAY
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(error.orig, "pgcode", None) or ""
    if state.startswith(_BUSY):
        return DATABASE_BUSY
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return DATABASE_AWAY
    return None


def _page(request: Request, status: int, words: Words) -> Response:
    values: dict[str, Any] = {
        "identity": None,
        "status": status,
        "words": words,
        "request_id": getattr(request, "request_id", None),
    }
    response = render_to_response(_TEMPLATE, values, request=request)
    response.status_int = status
    return response
