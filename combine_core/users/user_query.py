"""Joins a query about the user of a request to the query that finds the user, to save a round trip.

A route factory needs the project of a request and the user's role in it. The security policy needs the user.
The factory first adds its query to the request with :func:`add_user_query`. A policy that uses
:func:`find_user_row` runs both queries in one statement. With any other policy, the factory's query runs
separately.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Row, Uuid, bindparam, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from combine_core.database import AnySelect, connection_of
from combine_core.users.model import User

UserId = BindParameter[Any] | InstrumentedAttribute[Any]
Values = tuple[Any, ...] | None

_ADDED_QUERY = "_combine_user_query"


class UserQuery:
    """A query about a user that returns at most one row. It is built only once.

    :param build: builds the statement for a user id. The first column of its row is never NULL.
    """

    def __init__(self, build: Callable[[UserId], AnySelect]) -> None:
        self.statement = build(bindparam("user_id", type_=Uuid))
        # LIMIT keeps PostgreSQL from reading the rows of other users first.
        self.lateral = build(User.id).correlate(User).limit(1).lateral()


@dataclass
class _AddedQuery:
    query: UserQuery
    parameters: dict[str, object]
    is_executed: bool = False
    values: Values = None


def add_user_query(request: Any, query: UserQuery, **parameters: object) -> Callable[[], Values]:
    """Add a query to the request before the security policy looks up the user.

    :returns: a function that returns the row of the query. Call it when ``request.identity`` is known and not
        ``None``.
    """
    added = _AddedQuery(query, parameters)
    setattr(request, _ADDED_QUERY, added)

    def read_values() -> Values:
        if not added.is_executed:
            row = connection_of(request.dbsession).execute(
                query.statement, {"user_id": request.identity.user_id, **parameters}
            )
            added.values = _as_tuple(row.first())
        return added.values

    return read_values


def find_user_row(request: Any, statement: AnySelect, **parameters: object) -> Values:
    """Return the row of a statement that finds the user of a request, and run the added query with it.

    :param statement: a cached SELECT from the users
    """
    session: Session = request.dbsession
    added: _AddedQuery | None = getattr(request, _ADDED_QUERY, None)
    if added is None:
        return _as_tuple(connection_of(session).execute(statement, parameters).first())
    joined, width = _join(statement, added.query)
    row = connection_of(session).execute(joined, {**parameters, **added.parameters}).first()
    if row is None:
        return None
    added.is_executed = True
    added.values = None if row[width] is None else tuple(row[width:])
    return tuple(row[:width])


def _as_tuple(row: Row[Any] | None) -> Values:
    return None if row is None else tuple(row)


@functools.cache
def _join(statement: AnySelect, query: UserQuery) -> tuple[AnySelect, int]:
    """Join the query to the statement. Also return the number of the statement's own columns."""
    width = len(statement.selected_columns)
    return statement.add_columns(*query.lateral.c).outerjoin(query.lateral, true()), width
