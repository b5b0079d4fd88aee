"""Sessions: the browsers in which users are signed in, as rows of the database."""

from combine_auth.sessions.cookie import SessionCookie
from combine_auth.sessions.model import BrowserSession
from combine_auth.sessions.service import (
    ABSOLUTE_LIMIT,
    IDLE_LIMIT,
    end_session,
    end_sessions_of,
    is_fresh,
    list_sessions,
    start_session,
)

__all__ = [
    "ABSOLUTE_LIMIT",
    "IDLE_LIMIT",
    "BrowserSession",
    "SessionCookie",
    "end_session",
    "end_sessions_of",
    "is_fresh",
    "list_sessions",
    "start_session",
]
