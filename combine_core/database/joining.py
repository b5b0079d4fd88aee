"""Joins the session of a request to its transaction: zope.sqlalchemy and pyramid_tm, without psycopg 3.

zope.sqlalchemy imports each driver that is installed, for the errors after which it tries again. Our sessions
use psycopg2. psycopg 3 is there for the queue of the workers, and would take 9 MB in each web process.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pyramid_tm
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

_UNUSED = "psycopg.errors"
_is_loaded = _UNUSED in sys.modules
if not _is_loaded:
    # With None in its place, an import says that there is no such module.
    sys.modules[_UNUSED] = None  # type: ignore[assignment]
try:
    from zope.sqlalchemy.datamanager import (
        STATUS_CHANGED,
        ZopeTransactionEvents,
        join_transaction,
    )
finally:
    if not _is_loaded:
        del sys.modules[_UNUSED]

if TYPE_CHECKING:
    from pyramid.request import Request
    from pyramid.response import Response

# In the info of a request's session.
MANAGER = "combine_core.transaction_manager"


def join_requests(sessions: sessionmaker[Session]) -> None:
    """Let these sessions join the transaction of their request, if they have one."""
    # Once for all: zope.sqlalchemy.register takes as long for each session as two statements.
    event.listen(sessions, "after_begin", _join)
    event.listen(sessions, "after_attach", _join)
    event.listen(sessions, "before_commit", _check_committer)


def _join(session: Session, *_: object) -> None:
    """Let the session of a request join its transaction with the first statement or object."""
    manager = session.info.get(MANAGER)
    if manager is not None:
        # "changed": zope.sqlalchemy notices only what the unit of work flushes, and would otherwise silently
        # roll back text SQL and Core statements.
        join_transaction(session, STATUS_CHANGED, manager)


def _check_committer(session: Session) -> None:
    manager = session.info.get(MANAGER)
    if manager is not None:
        ZopeTransactionEvents(transaction_manager=manager).before_commit(session)


def veto_commit(request: Request, response: Response) -> bool:
    """Whether the transaction of a request is to be rolled back, because its answer is an error."""
    # With a veto, pyramid_tm 2.6 does not check whether an error that became an error page can be retried:
    # the client would see a serialisation failure at its first occurrence.
    exc_info = getattr(request, "exc_info", None)
    if exc_info is not None:
        pyramid_tm.maybe_tag_retryable(request, exc_info)
    vetoed: bool = pyramid_tm.default_commit_veto(request, response)
    return vetoed
