"""Renders error pages, without the database and without loading the user, because either may have failed.

:mod:`combine_core.web.problems` translates the exception to a status and a text. Errors below ``/api/`` do
not reach these views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyramid.config import Configurator
from pyramid.httpexceptions import (
    HTTPError,
    HTTPException,
    HTTPForbidden,
    HTTPNotFound,
    HTTPSeeOther,
    HTTPUnauthorized,
)
from pyramid.renderers import render_to_response
from pyramid.request import Request
from pyramid.response import Response
from pyramid_retry import is_error_retryable

from combine_core.database import InvalidCursor
from combine_core.pages.layout import path_if_routed
from combine_core.web.forms import typed_texts
from combine_core.web.problems import (
    TITLES,
    ProblemError,
    is_raised_by_view,
    log_problem,
    problem_of,
)

_TEMPLATE = "combine_core:pages/error.jinja2"


@dataclass(frozen=True)
class ErrorText:
    """The text of an error page: the error and its remedy.

    :ivar steps: the remedy for the operators of the service
    """

    title: str
    text: str
    steps: tuple[str, ...] = ()


_BY_STATUS = {
    400: ErrorText("This request is invalid", "Go back, reload the page, and send the form again."),
    401: ErrorText(
        "You are not signed in",
        "This service has no sign-in page. Ask its operators how to sign in.",
    ),
    403: ErrorText(
        "You may not do this",
        "Your role in this project does not allow it. An owner of the project can change your role.",
    ),
    404: ErrorText(
        "Page not found",
        "The address may be mistyped, or it belongs to a project of which you are not a member.",
    ),
    405: ErrorText(
        "This address cannot be opened directly",
        "It is probably the target of a form. Go back, and send the form again.",
    ),
    413: ErrorText(
        "The upload is too large", "Send a smaller file, or split the text into several sources."
    ),
    500: ErrorText(
        "Something went wrong",
        "This is a fault of the service, and nothing was changed. Try again. If it happens again, tell"
        " the operators of the service, with the request id below.",
    ),
}
# Texts for problem kinds that are more specific than their status.
_BY_KIND = {
    "csrf": ErrorText(
        "This form has expired",
        "The page was open for too long, or the form came from another site. Nothing was changed."
        " Open the page again, and send the form again.",
    ),
    # The steps are the Resolution of "Database Connection Failed" in the runbook.
    "database-away": ErrorText(
        "The database cannot be reached",
        "Nothing was changed, and nothing is lost. Try again in a few seconds.",
        steps=(
            "Verify that the database is running.",
            "Check the format of DATABASE_URL.",
            "Verify network connectivity.",
            "Check the credentials.",
        ),
    ),
    "database-busy": ErrorText(
        "The database is busy",
        "It did not respond in time, and nothing was changed. Try again in a few seconds.",
    ),
}
_SIGNED_OUT = ErrorText(
    "You were signed out",
    "Your text was not stored. You can copy it below. Sign in again in a new tab, and send it again.",
)
_UNKNOWN_CURSOR = ErrorText(
    "This page of the list does not exist",
    "The address was changed or cut off. Open the list from its beginning.",
)


def ask_to_sign_in(_error: HTTPException, request: Request) -> Response:
    """Redirect to the sign-in page, which leads back. If there is no such page, return 401.

    If the request contains a longer text, return a 401 page with the text, so that it is not lost.
    """
    back = request.path_qs if request.method in {"GET", "HEAD"} else request.path
    sign_in = path_if_routed(request, "auth.sign_in", _query={"next": back})
    if sign_in is not None:
        typed = typed_texts(request)
        if not typed:
            return HTTPSeeOther(sign_in)
        headers = {"WWW-Authenticate": "Bearer"}
        return _page(request, 401, _SIGNED_OUT, headers, typed=typed, sign_in=sign_in)
    return _page(request, 401, _BY_STATUS[401], {"WWW-Authenticate": "Bearer"})


def forbid(error: HTTPForbidden, request: Request) -> Response:
    """Show a 403, or the sign-in page if the user is not signed in."""
    if request.identity is None:
        return ask_to_sign_in(error, request)
    return show_error(error, request)


def show_error(error: Exception, request: Request) -> Response:
    """Show any other error, with the longer texts of a form, so that they are not lost."""
    problem = problem_of(request.registry, error)
    # An error is not logged if pyramid_retry will repeat the request.
    if not is_error_retryable(request, error):
        log_problem(problem, error)
    text = _text_of(error, problem)
    return _page(request, problem.status, text, problem.headers, typed=typed_texts(request))


def _text_of(error: Exception, problem: ProblemError) -> ErrorText:
    if isinstance(error, InvalidCursor):
        return _UNKNOWN_CURSOR
    if problem.kind in _BY_KIND:
        return _BY_KIND[problem.kind]
    if isinstance(error, HTTPException):
        # Pyramid's own details of a 404 and a 403 are for developers.
        shows_detail = is_raised_by_view(error) or not isinstance(
            error, HTTPForbidden | HTTPNotFound
        )
        detail = error.detail if shows_detail else None
        default = ErrorText(error.title, error.explanation)
    else:
        messages = " ".join(field_error.message for field_error in problem.errors)
        detail = None if problem.status == 500 else messages or problem.detail
        default = ErrorText(TITLES.get(problem.status, "Error"), problem.detail)
    default = _BY_STATUS.get(problem.status, default)
    return ErrorText(default.title, detail or default.text)


def _page(
    request: Request,
    status: int,
    text: ErrorText,
    headers: Mapping[str, str],
    *,
    typed: Sequence[str] = (),
    sign_in: str | None = None,
) -> Response:
    values = {
        "identity": None,
        "status": status,
        "words": text,
        "typed": typed,
        "sign_in": sign_in,
        "request_id": getattr(request, "request_id", None),
    }
    response = render_to_response(_TEMPLATE, values, request=request)
    response.status_int = status
    response.headers.update(headers)
    return response


def includeme(config: Configurator) -> None:
    """Add the error views."""
    config.add_exception_view(ask_to_sign_in, context=HTTPUnauthorized)
    config.add_exception_view(forbid, context=HTTPForbidden)
    # HTTPError too, because Pyramid's view for HTTP exceptions is more specific than ours for Exception.
    for context in (HTTPError, Exception):
        config.add_exception_view(show_error, context=context)
