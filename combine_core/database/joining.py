"""What joins a session to the transaction of a request: zope.sqlalchemy, without psycopg 3.

zope.sqlalchemy imports each driver that is installed, for the errors after which it tries again. Our sessions
use psycopg2. psycopg 3 is there for the queue of the workers, and would take 9 MB in each web process.
"""

import sys

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

__all__ = ["STATUS_CHANGED", "ZopeTransactionEvents", "join_transaction"]
