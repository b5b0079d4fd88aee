"""What goes wrong at the endpoints for clients, in the words of RFC 6749, 5.2."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from oauthlib.oauth2.rfc6749.errors import OAuth2Error
from pyramid.csrf import BadCSRFOrigin, BadCSRFToken
from pyramid.httpexceptions import (
    HTTPError,
    HTTPForbidden,
    HTTPNotFound,
    HTTPUnauthorized,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from combine_auth.limits import RateLimited
from combine_auth.oauth_server.wire import error_answer, plain_error

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.response import Response

logger = logging.getLogger(__name__)

# For programs; below /oauth/ there are pages as well.
ENDPOINTS = r"^/oauth/(token|revoke|introspect|device)$"
_RETRY_S = 5


def oauth_failure(error: Exception, request: Any) -> Response:
    """An answer to whatever was raised. One that nobody expected is logged, and 500."""
    if isinstance(error, OAuth2Error):
        return error_answer(error)
    if isinstance(error, RateLimited):
        return plain_error(
            "temporarily_unavailable", error.detail, 429, Retry_After=str(error.wait_seconds)
        )
    if isinstance(error, HTTPError):
        return plain_error("invalid_request", error.detail or error.title, error.status_int)
    if isinstance(error, PoolTimeout) or _is_away(error):
        # Its type alone: the text of the error may quote the statement's parameters.
        logger.warning("the database cannot be used: %s", type(error).__name__)
        description = f"The service is busy. Try again in {_RETRY_S} seconds."
        return plain_error("temporarily_unavailable", description, 503, Retry_After=str(_RETRY_S))
    logger.error("%s failed", request.path, exc_info=error)
    return plain_error("server_error", "Something went wrong in the service.", 500)


def _is_away(error: Exception) -> bool:
    if not isinstance(error, SQLAlchemyError):
        return False
    code = getattr(getattr(error, "orig", None), "pgcode", None) or ""
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return lost or re.match("$|08|40|53|55P03|57", code) is not None


def includeme(config: Configurator) -> None:
    """Answer every failure of these endpoints, before the views for pages do."""
    # Each of them: a page's view for a narrower class would come before ours for Exception.
    for context in (
        Exception,
        HTTPError,
        HTTPForbidden,
        HTTPNotFound,
        HTTPUnauthorized,
        BadCSRFOrigin,
        BadCSRFToken,
        RateLimited,
    ):
        config.add_exception_view(oauth_failure, context=context, path_info=ENDPOINTS)
