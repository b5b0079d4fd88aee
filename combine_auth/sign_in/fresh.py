"""Whether a session is of a sign-in that was made just now."""

from __future__ import annotations

import uuid
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from combine_auth.sessions import BrowserSession

# What is worth stealing a session for needs one that is younger.
FRESH_FOR = timedelta(minutes=10)


def is_fresh(session: Session, session_id: uuid.UUID) -> bool:
    """Whether this session was begun within the last ``FRESH_FOR`` (the database's clock)."""
    found = session.scalar(
        select(BrowserSession.id).where(
            BrowserSession.id == session_id, BrowserSession.created_at > func.now() - FRESH_FOR
        )
    )
    return found is not None
