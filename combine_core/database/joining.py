"""Joins the session of a request to its transaction, with zope.sqlalchemy and pyramid_tm.

zope.sqlalchemy imports every installed driver, to recognize the errors that can be retried. The sessions use
psycopg2. psycopg 3 is installed for the workers' queue and would take 9 MB in each web process, so this
module keeps it from being imported.
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
    # With None in its place, an import raises ImportError.
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

# The key of the transaction manager in the info of a request's session.
MANAGER = "combine_core.transaction_manager"


def join_requests(sessions: sessionmaker[Session]) -> None:
    """Make these sessions join the transaction of their request, if they belong to a request."""
    # On the factory, because zope.sqlalchemy.register takes as long for each session as two statements.
    event.listen(sessions, "after_begin", _join)
    event.listen(sessions, "after_attach", _join)
    event.listen(sessions, "before_commit", _check_committer)


def _join(session: Session, *_: object) -> None:
    """Make the session of a request join its transaction with the first statement or object."""
    manager = session.info.get(MANAGER)
    if manager is not None:
        # As "changed", because zope.sqlalchemy notices only flushed objects, and would otherwise silently
        # roll back text SQL and Core statements.
        join_transaction(session, STATUS_CHANGED, manager)


def _check_committer(session: Session) -> None:
    manager = session.info.get(MANAGER)
    if manager is not None:
        ZopeTransactionEvents(transaction_manager=manager).before_commit(session)


def veto_commit(request: Request, response: Response) -> bool:
    """Return whether to roll back the transaction of a request, because its response is an error."""
    # With a veto, pyramid_tm 2.6 does not check whether an error that became an error page can be retried.
    # The client would see the first serialization failure.
    exc_info = getattr(request, "exc_info", None)
    if exc_info is not None:
        pyramid_tm.maybe_tag_retryable(request, exc_info)
    vetoed: bool = pyramid_tm.default_commit_veto(request, response)
    return vetoed
