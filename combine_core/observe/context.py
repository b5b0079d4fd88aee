"""The work of the current thread, which its log lines and SQL statements name."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.request import Request

HEADER = "X-Request-ID"
# In the WSGI environ, so that the attempts of a retried request share one id.
ENVIRON_KEY = "combine.request_id"
# The user as text. The security policy sets it; logging never asks the policy for it.
USER_KEY = "combine.user"

_VALID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class Work:
    """The work of a thread: a request, or named work outside of requests.

    :ivar statements: how often each SQL statement was sent
    :ivar database_seconds: the time that the database took for all of them
    :ivar comment: the comment that they begin with, once the route is known
    """

    __slots__ = ("_known_as", "_request", "_route", "comment", "database_seconds", "statements")

    def __init__(
        self, request: Request | None, route: str | None = None, known_as: str | None = None
    ) -> None:
        self._request = request
        self._route = route
        self._known_as = known_as
        self.statements: Counter[str] = Counter()
        self.database_seconds = 0.0
        self.comment: str | None = None

    @property
    def route(self) -> str | None:
        """The name of the matched route or of the work; ``None`` before a route has matched."""
        if self._route is None and self._request is not None:
            self._route = route_of(self._request)
        return self._route

    @property
    def request_id(self) -> str | None:
        """The id of the request, or the object of the work."""
        if self._known_as is None and self._request is not None:
            self._known_as = request_id(self._request)
        return self._known_as

    @property
    def user(self) -> str | None:
        """The user, if the security policy has set one."""
        return None if self._request is None else user_of(self._request)


_current: ContextVar[Work | None] = ContextVar("combine_work", default=None)


def request_id(request: Request) -> str:
    """The request's id: that of its header if it is valid, else a new one."""
    known: str | None = request.environ.get(ENVIRON_KEY)
    if known is None:
        offered = request.environ.get("HTTP_X_REQUEST_ID", "")
        known = offered if _VALID.fullmatch(offered) else secrets.token_hex(8)
        request.environ[ENVIRON_KEY] = known
    return known


@contextmanager
def working_on(request: Request) -> Iterator[Work]:
    """While the block runs, log lines and SQL of this thread belong to `request`."""
    with _doing(Work(request)) as work:
        yield work


@contextmanager
def working_at(route: str, known_as: str) -> Iterator[Work]:
    """The same for work outside of requests.

    :param route: names the code, such as ``worker.step``
    :param known_as: the object of the work, such as the id of a step
    """
    with _doing(Work(None, route, known_as)) as work:
        yield work


@contextmanager
def _doing(work: Work) -> Iterator[Work]:
    token = _current.set(work)
    try:
        yield work
    finally:
        _current.reset(token)


def current_work() -> Work | None:
    """The work of this thread, if any."""
    return _current.get()


def user_of(request: Request) -> str | None:
    """The user, if the security policy has set one."""
    user = request.environ.get(USER_KEY)
    return None if user is None else str(user)


def route_of(request: Request) -> str | None:
    """The name of the matched route; ``None`` before one has matched."""
    route = getattr(request, "matched_route", None)
    return None if route is None else str(route.name)
