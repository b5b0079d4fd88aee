"""How our cookies are named, protected and read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pyramid.util import SimpleSerializer
from webob.cookies import CookieProfile, parse_cookie

from combine_core.settings import CoreSettings


def cookies_are_secure(core: CoreSettings) -> bool:
    """Whether the service's cookies are sent over https only: always, but for a developer's own machine."""
    return not (core.is_development and core.public_url.startswith("http://"))


class Cookie:
    """A cookie that no script can read, and that no form of a foreign site sends.

    :param word: what it is for; part of its name
    :param secure: sent over https only; ``False`` only in development on http
    :param lifetime: ``None``: until the browser is closed
    """

    def __init__(self, word: str, *, secure: bool, lifetime: timedelta | None) -> None:
        # With the prefix, a browser accepts the cookie only from this host, over https, for all paths
        # (RFC 6265bis, 4.1.3.2). Another host of the same domain can neither read nor set it.
        self.name = f"__Host-combine_{word}" if secure else f"combine_{word}"
        self.profile = CookieProfile(
            self.name,
            secure=secure,
            max_age=None if lifetime is None else int(lifetime.total_seconds()),
            httponly=True,
            samesite="Lax",
            path="/",
            serializer=SimpleSerializer(),
        )

    def read(self, request: Any) -> str | None:
        """The value of the first cookie of this name; "" if it is not ASCII.

        ``request.cookies`` cannot be used: it raises if any cookie, even a foreign one, is not UTF-8.
        """
        wanted = self.name.encode()
        for found, value in parse_cookie(request.environ.get("HTTP_COOKIE", "")):
            if found == wanted:
                return value.decode() if value.isascii() else ""
        return None

    def headers(self, value: str | None) -> list[tuple[str, str]]:
        """The headers that set the cookie; ``None`` deletes it."""
        headers: list[tuple[str, str]] = self.profile.get_headers(value)
        return headers
