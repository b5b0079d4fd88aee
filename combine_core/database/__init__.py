"""PostgreSQL through SQLAlchemy: one engine per application, one session per request.

``config.include("combine_core.database")`` gives ``request.dbsession``, a session that belongs to the
request's transaction (``request.tm``): it commits when the view returns a 2xx or 3xx, and rolls back
otherwise. Code outside requests (worker, commands) takes sessions from :func:`session_factory`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.orm import Session, sessionmaker

from combine_core.database.connecting import (
    CONNECT_TIMEOUT_S,
    connection_arguments,
    limit_sessions,
)
from combine_core.database.metadata import Identified, Model, load_models, new_id
from combine_core.database.page import (
    NEWEST_FIRST,
    AnySelect,
    InvalidCursor,
    ListQuery,
    Page,
    any_key,
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

__all__ = [
    "NEWEST_FIRST",
    "AnySelect",
    "Identified",
    "InvalidCursor",
    "ListQuery",
    "Model",
    "Page",
    "any_key",
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
    """Return an engine for ``url`` (``postgresql+psycopg2://``) with timeouts. Does not connect yet.

    :param application_name: the name of the connections in ``pg_stat_activity``
    :param pool_size: the connections that the pool keeps open
    :param max_overflow: the additional connections, which are closed after use
    :param recycle: seconds after which the pool replaces a connection
    :param slow_query_ms: statements that take at least this long are logged as slow
    :param shared: whether a pooler gives each transaction another connection
    """
    engine = create_engine(
        url,
        poolclass=CountedPool,
        # Parameters contain texts of users, which must not reach a log in an exception.
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
    """Return a session factory for ``engine``. The caller commits and closes the sessions.

    :param all_models: whether to load all models first; if not, the caller has loaded the models that it
        needs and the models that they refer to
    """
    if all_models:
        load_models()
    return sessionmaker(engine, expire_on_commit=False)


def engine_of(registry: Registry) -> Engine:
    engine: Engine = registry[_ENGINE]
    return engine


def session_factory(registry: Registry) -> sessionmaker[Session]:
    """Return the session factory for code outside requests. The caller commits and closes the sessions."""
    factory: sessionmaker[Session] = registry[_SESSIONS]
    return factory


def includeme(config: Configurator) -> None:
    """Add the engine, ``request.dbsession`` and the request's transaction. Connects on first use."""
    # Imported here because commands use the database without Pyramid's transactions.
    from combine_core.database.joining import MANAGER, join_requests, veto_commit

    # Before the URL is read, because this starts the embedded database if development has no URL.
    config.include("combine_core.postgres")
    settings = config.add_addon_settings(CoreSettings)
    config.registry.settings.update(
        {
            # Thread-local managers leak between requests of one thread; this one cannot.
            "tm.manager_hook": "pyramid_tm.explicit_manager",
            "tm.commit_veto": veto_commit,
            # Annotating the transaction with the user would load the identity in every request.
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
    join_requests(sessions)

    def dbsession(request: Request) -> Session:
        session = sessions(info={MANAGER: request.tm})
        # pyramid_tm ends the transaction, which closes the session. In an error view after the transaction,
        # this callback returns the connection instead.
        request.add_finished_callback(lambda _request: session.close())
        return session

    config.add_request_method(dbsession, reify=True)
