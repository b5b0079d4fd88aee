"""Which request the current thread works on, as the log lines of it say."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.request import Request

HEADER = "X-Request-ID"
# In the WSGI environ, so that the attempts of a retried request share one id.
ENVIRON_KEY = "combine.request_id"
# Who asks, as text: set by the security policy once it knows, never asked for by the log.
USER_KEY = "combine.user"

_SANE = re.compile(r"[A-Za-z0-9._-]{8,64}")
_current: ContextVar[Request | None] = ContextVar("combine_request", default=None)


def request_id(request: Request) -> str:
    """The request's id: the one that came with it if it is sane, else a new one."""
    known: str | None = request.environ.get(ENVIRON_KEY)
    if known is None:
        offered = request.environ.get("HTTP_X_REQUEST_ID", "")
        known = offered if _SANE.fullmatch(offered) else secrets.token_hex(8)
        request.environ[ENVIRON_KEY] = known
    return known


@contextmanager
def working_on(request: Request) -> Iterator[None]:
    """Log lines of this thread belong to `request` meanwhile."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)


def current_request() -> Request | None:
    """The request that this thread works on."""
    return _current.get()


def user_of(request: Request) -> str | None:
    """Who asks, if that is known already."""
    user = request.environ.get(USER_KEY)
    return None if user is None else str(user)


def route_of(request: Request) -> str | None:
    """The name of the route, once one has matched."""
    route = getattr(request, "matched_route", None)
    return None if route is None else str(route.name)
