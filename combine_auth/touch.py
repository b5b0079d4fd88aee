"""Write down that a session or a token was used: after the request, with no say in its outcome."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from combine_core.database import session_factory

logger = logging.getLogger(__name__)


def touch_afterwards(
    request: Any, note: Callable[[Session, uuid.UUID], None], row_id: uuid.UUID
) -> None:
    """Call ``note(session, row_id)`` in a transaction of its own once the request is over.

    Within the request's own transaction the write would be lost with every 4xx, would lock the row
    for as long as the view works, and could fail the request. Afterwards, the request has already
    given its connection back. A failure is logged: the next request tries again.
    """

    def write(request: Any) -> None:
        try:
            with session_factory(request.registry).begin() as session:
                note(session, row_id)
        except SQLAlchemyError as error:
            # Its type alone: the text of the error may quote the statement's parameters.
            logger.warning("could not write down a use: %s", type(error).__name__)

    request.add_finished_callback(write)
