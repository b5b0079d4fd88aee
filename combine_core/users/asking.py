"""What is read of the user who asks, in the statement that finds the user.

A route factory needs the project of a request and the user's role in it. The security policy needs the user.
The factory states its question first, with :func:`ask_with_user`. A policy that knows this module adds the
answer to its own statement, with :func:`find_with_answer`. Any other policy leaves the question open.
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
Answer = tuple[Any, ...] | None

_QUESTION = "_combine_question"


class KeptQuestion:
    """A statement about a user that finds one row or none, built once.

    :param statement: makes it for the key of the user. Its first column is never NULL
    """

    def __init__(self, statement: Callable[[UserId], AnySelect]) -> None:
        self.alone = statement(bindparam("user_id", type_=Uuid))
        # LIMIT keeps PostgreSQL from reading the rows of other users first.
        self.beside = statement(User.id).correlate(User).limit(1).lateral()


@dataclass
class _Question:
    kept: KeptQuestion
    parameters: dict[str, object]
    is_answered: bool = False
    answer: Answer = None


def ask_with_user(request: Any, kept: KeptQuestion, **parameters: object) -> Callable[[], Answer]:
    """State a question before anybody looks for the user of the request.

    :returns: gives the answer, once ``request.identity`` is known and not ``None``
    """
    question = _Question(kept, parameters)
    setattr(request, _QUESTION, question)

    def answer() -> Answer:
        if not question.is_answered:
            found = connection_of(request.dbsession).execute(
                kept.alone, {"user_id": request.identity.user_id, **parameters}
            )
            question.answer = _plain(found.first())
        return question.answer

    return answer


def find_with_answer(request: Any, statement: AnySelect, **parameters: object) -> Answer:
    """The row of a statement that finds the user of a request, and at once the answer to its question.

    :param statement: kept; it selects from the users
    """
    session: Session = request.dbsession
    question: _Question | None = getattr(request, _QUESTION, None)
    if question is None:
        return _plain(connection_of(session).execute(statement, parameters).first())
    both, width = _both(statement, question.kept)
    row = connection_of(session).execute(both, {**parameters, **question.parameters}).first()
    if row is None:
        return None
    question.is_answered = True
    question.answer = None if row[width] is None else tuple(row[width:])
    return tuple(row[:width])


def _plain(row: Row[Any] | None) -> Answer:
    return None if row is None else tuple(row)


@functools.cache
def _both(statement: AnySelect, kept: KeptQuestion) -> tuple[AnySelect, int]:
    """The statement with the columns of the question, and the number of its own."""
    own = len(statement.selected_columns)
    return statement.add_columns(*kept.beside.c).outerjoin(kept.beside, true()), own
