"""PostgreSQL through SQLAlchemy: one engine per application, one session per request.

``config.include("combine_core.database")`` gives ``request.dbsession``, a session that belongs to the
request's transaction (``request.tm``): it commits when the view returns a 2xx or 3xx, and rolls back
otherwise. Code outside requests (worker, commands) takes sessions from :func:`session_factory`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.orm import Session, sessionmaker

from combine_core.database.connecting import (
    CONNECT_TIMEOUT_S,
    connection_arguments,
    limit_sessions,
)
from combine_core.database.joining import (
    STATUS_CHANGED,
    ZopeTransactionEvents,
    join_transaction,
)
from combine_core.database.metadata import Identified, Model, load_models, new_id
from combine_core.database.page import (
    NEWEST_FIRST,
    AnySelect,
    InvalidCursor,
    KeptList,
    Page,
    as_text,
    connection_of,
    decode_cursor,
    encode_cursor,
    fetch,
    paginate,
)
from combine_core.database.pool import CountedPool, leave_read_only_servers
from combine_core.observe.statements import watch_statements
from combine_core.settings.core import CoreSettings

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry
    from pyramid.request import Request
    from pyramid.response import Response

__all__ = [
    "NEWEST_FIRST",
    "AnySelect",
    "Identified",
    "InvalidCursor",
    "KeptList",
    "Model",
    "Page",
    "as_text",
    "connection_of",
    "decode_cursor",
    "encode_cursor",
    "fetch",
    "load_models",
    "make_engine",
    "make_sessions",
    "new_id",
    "paginate",
    "session_factory",
]

_ENGINE = "combine_core.database.engine"
_SESSIONS = "combine_core.database.sessions"
# In the info of a request's session.
_MANAGER = "combine_core.transaction_manager"

# The defaults for engines outside an application with settings.
RECYCLE_S = 1800
SLOW_QUERY_MS = 500


def make_engine(
    url: str,
    *,
    application_name: str,
    pool_size: int,
    max_overflow: int,
    recycle: float = RECYCLE_S,
    slow_query_ms: int = SLOW_QUERY_MS,
    shared: bool = False,
) -> Engine:
    """An engine for ``url`` (``postgresql+psycopg2://``) whose every wait has a limit. Does not connect yet.

    :param application_name: the name of our connections in ``pg_stat_activity``
    :param pool_size: connections that the pool keeps open
    :param max_overflow: connections beyond these; closed after use
    :param recycle: seconds after which the pool replaces a connection
    :param slow_query_ms: statements that take at least this long are logged as slow
    :param shared: a pooler gives each transaction another connection
    """
    engine = create_engine(
        url,
        poolclass=CountedPool,
        # Parameters contain users' texts, which exceptions must not carry into a log.
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=CONNECT_TIMEOUT_S,
        pool_recycle=recycle,
        connect_args=connection_arguments(make_url(url), application_name),
    )
    limit_sessions(engine, shared=shared)
    leave_read_only_servers(engine)
    watch_statements(engine, process=application_name, slow_ms=slow_query_ms)
    return engine


def make_sessions(engine: Engine, *, all_models: bool = True) -> sessionmaker[Session]:
    """A factory of sessions on ``engine``. The caller commits and closes.

    :param all_models: load all models first. ``False``: the caller has loaded those that it needs, and those
        of the tables that they refer to
    """
    if all_models:
        load_models()
    return sessionmaker(engine, expire_on_commit=False)


def engine_of(registry: Registry) -> Engine:
    """The application's engine."""
    engine: Engine = registry[_ENGINE]
    return engine


def session_factory(registry: Registry) -> sessionmaker[Session]:
    """A factory of sessions for code outside requests. The caller commits and closes."""
    factory: sessionmaker[Session] = registry[_SESSIONS]
    return factory


def _request_session(request: Request) -> Session:
    session = session_factory(request.registry)(info={_MANAGER: request.tm})
    # pyramid_tm ends the transaction, which closes the session. If it did not begin one (an error view after
    # the transaction), this returns the connection.
    request.add_finished_callback(lambda _request: session.close())
    return session


def _join(session: Session, *_: object) -> None:
    """Let the session of a request join its transaction with the first statement or object."""
    manager = session.info.get(_MANAGER)
    if manager is not None:
        # "changed": zope.sqlalchemy notices only what the unit of work flushes, and would otherwise silently
        # roll back text SQL and Core statements.
        join_transaction(session, STATUS_CHANGED, manager)


def _check_committer(session: Session) -> None:
    manager = session.info.get(_MANAGER)
    if manager is not None:
        ZopeTransactionEvents(transaction_manager=manager).before_commit(session)


def _veto_commit(request: Request, response: Response) -> bool:
    # Here, because commands use the database without Pyramid.
    import pyramid_tm

    # With a veto, pyramid_tm 2.6 does not check whether an error that became an error page can be retried:
    # the client would see a serialisation failure at its first occurrence.
    exc_info = getattr(request, "exc_info", None)
    if exc_info is not None:
        pyramid_tm.maybe_tag_retryable(request, exc_info)
    vetoed: bool = pyramid_tm.default_commit_veto(request, response)
    return vetoed


def includeme(config: Configurator) -> None:
    """Add the engine, ``request.dbsession`` and the request's transaction. Connects on first use."""
    # Before the URL is read: if there is none in development, a database is started.
    config.include("combine_core.postgres")
    settings = config.add_addon_settings(CoreSettings)
    config.registry.settings.update(
        {
            # Thread-local managers leak between requests of one thread; this one cannot.
            "tm.manager_hook": "pyramid_tm.explicit_manager",
            "tm.commit_veto": _veto_commit,
            # Naming the user in the transaction would load the identity in every request.
            "tm.annotate_user": "false",
        }
    )
    config.include("pyramid_retry")
    config.include("pyramid_tm")

    engine = make_engine(
        settings.sqlalchemy_url,
        application_name="combine web",
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        recycle=settings.db_pool_recycle,
        slow_query_ms=settings.slow_query_ms,
        shared=settings.database_direct_url is not None,
    )
    config.registry[_ENGINE] = engine
    sessions = config.registry[_SESSIONS] = make_sessions(engine)
    # Once for all: zope.sqlalchemy.register takes as long for each session as two statements.
    event.listen(sessions, "after_begin", _join)
    event.listen(sessions, "after_attach", _join)
    event.listen(sessions, "before_commit", _check_committer)
    config.add_request_method(_request_session, "dbsession", reify=True)
