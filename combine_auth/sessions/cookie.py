"""Authenticates requests by the session cookie."""

from __future__ import annotations

from typing import Any

from combine_auth.authentication import RANDOM, Proof, use_credential
from combine_auth.sessions.model import BrowserSession
from combine_auth.sessions.service import (
    ABSOLUTE_LIMIT,
    end_session_of_token,
    find_session,
    start_session,
)
from combine_core.web.cookies import Cookie


class SessionCookie:
    """The cookie that contains a session's token."""

    def __init__(self, *, secure: bool) -> None:
        self._cookie = Cookie("session", secure=secure, lifetime=ABSOLUTE_LIMIT)

    def read_credential(self, request: Any) -> str | None:
        """Return the cookie's value, not yet verified; ``None`` without the cookie."""
        return self._cookie.read(request)

    def verify(self, request: Any, credential: str) -> Proof | None:
        if not RANDOM.fullmatch(credential):
            return None
        found = find_session(request, credential)
        return use_credential(request, found, BrowserSession.last_seen_at)

    def start(
        self, request: Any, user_id: Any, provider: str | None = None
    ) -> list[tuple[str, str]]:
        """Start a session, and return the headers that set its cookie."""
        token = start_session(
            request.dbsession,
            user_id,
            user_agent=request.user_agent or "",
            # Not client_addr, which a client can forge. The server has already replaced this address
            # with the one from its trusted proxy.
            ip=request.remote_addr,
            provider=provider,
        )
        return self._cookie.headers(token)

    def end(self, request: Any) -> list[tuple[str, str]]:
        """End the session of the request, and return the headers that delete the cookie."""
        token = self.read_credential(request)
        if token is not None and RANDOM.fullmatch(token):
            end_session_of_token(request.dbsession, token)
        return self._cookie.headers(None)
