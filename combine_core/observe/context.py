"""The current work of a thread, which its log lines and SQL statements name."""

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
# In the WSGI environ, so that all attempts of a retried request have the same id.
ENVIRON_KEY = "combine.request_id"
# The user as text. The security policy sets it; logging never calls the policy.
USER_KEY = "combine.user"

_VALID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class Work:
    """The work of a thread: a request, or named work outside of requests.

    :ivar statements: the number of times that each SQL statement was sent
    :ivar database_seconds: the time that the database took for all statements
    :ivar comment: the comment at the beginning of each statement, once the route is known
    """

    __slots__ = ("_object", "_request", "_route", "comment", "database_seconds", "statements")

    def __init__(
        self, request: Request | None, route: str | None = None, object_: str | None = None
    ) -> None:
        self._request = request
        self._route = route
        self._object = object_
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
        if self._object is None and self._request is not None:
            self._object = request_id(self._request)
        return self._object

    @property
    def user(self) -> str | None:
        return None if self._request is None else user_of(self._request)


_current: ContextVar[Work | None] = ContextVar("combine_work", default=None)


def request_id(request: Request) -> str:
    """Return the request's id: the value of its header if that is valid, else a new id."""
    known: str | None = request.environ.get(ENVIRON_KEY)
    if known is None:
        header = request.environ.get("HTTP_X_REQUEST_ID", "")
        known = header if _VALID.fullmatch(header) else secrets.token_hex(8)
        request.environ[ENVIRON_KEY] = known
    return known


@contextmanager
def working_on(request: Request) -> Iterator[Work]:
    """Assign the log lines and SQL statements of this thread to `request` while the block runs."""
    with _current_work(Work(request)) as work:
        yield work


@contextmanager
def working_at(route: str, object_: str) -> Iterator[Work]:
    """Assign the log lines and SQL statements of this thread to work outside of requests.

    :param route: the name of the code, such as ``worker.step``
    :param object_: the object of the work, such as the id of a step
    """
    with _current_work(Work(None, route, object_)) as work:
        yield work


@contextmanager
def _current_work(work: Work) -> Iterator[Work]:
    token = _current.set(work)
    try:
        yield work
    finally:
        _current.reset(token)


def current_work() -> Work | None:
    return _current.get()


def user_of(request: Request) -> str | None:
    """Return the user as text, if the security policy has set one."""
    user = request.environ.get(USER_KEY)
    return None if user is None else str(user)


def route_of(request: Request) -> str | None:
    """Return the name of the matched route, or ``None`` before a route has matched."""
    route = getattr(request, "matched_route", None)
    return None if route is None else str(route.name)
