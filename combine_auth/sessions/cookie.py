"""Authentication by the session cookie."""

from __future__ import annotations

import re
from typing import Any

from combine_auth.authentication import Proof, proof_of
from combine_auth.cookies import cookie_name, cookie_profile, read_cookie
from combine_auth.sessions.model import BrowserSession
from combine_auth.sessions.service import (
    ABSOLUTE_LIMIT,
    end_session_of_token,
    find_session,
    start_session,
)

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class SessionCookie:
    """The cookie that holds a session's token.

    :param secure: sent over https only; ``False`` only in development on http
    """

    def __init__(self, *, secure: bool) -> None:
        self.name = cookie_name("session", secure=secure)
        max_age = int(ABSOLUTE_LIMIT.total_seconds())
        self._profile = cookie_profile(self.name, secure=secure, max_age=max_age)

    def presented(self, request: Any) -> str | None:
        """The cookie's value, unchecked; ``None`` without the cookie."""
        return read_cookie(request, self.name)

    def prove(self, request: Any, credential: str) -> Proof | None:
        if not _TOKEN.fullmatch(credential):
            return None
        found = find_session(request.dbsession, credential)
        return proof_of(request, found, BrowserSession.last_seen_at)

    def start(
        self, request: Any, user_id: Any, provider: str | None = None
    ) -> list[tuple[str, str]]:
        """Start a session, and return the headers that set its cookie."""
        token = start_session(
            request.dbsession,
            user_id,
            user_agent=request.user_agent or "",
            # Not client_addr, which a client can forge. The server has replaced this address with
            # the one that its trusted proxy gave.
            ip=request.remote_addr,
            provider=provider,
        )
        headers: list[tuple[str, str]] = self._profile.get_headers(token)
        return headers

    def end(self, request: Any) -> list[tuple[str, str]]:
        """End the session of the request, and return the headers that delete the cookie."""
        token = self.presented(request)
        if token is not None and _TOKEN.fullmatch(token):
            end_session_of_token(request.dbsession, token)
        headers: list[tuple[str, str]] = self._profile.get_headers(None)
        return headers
