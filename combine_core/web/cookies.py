"""Names, protects and reads the cookies of the service."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pyramid.util import SimpleSerializer
from webob.cookies import CookieProfile, parse_cookie

from combine_core.settings import CoreSettings


def cookies_are_secure(core: CoreSettings) -> bool:
    """Return whether cookies are sent over https only. Only development on plain http allows http."""
    return not (core.is_development and core.public_url.startswith("http://"))


class Cookie:
    """A cookie that scripts cannot read and that forms of other sites do not send.

    :param purpose: the last part of the cookie's name
    :param secure: whether the cookie is sent over https only; ``False`` only in development on http
    :param lifetime: ``None`` means until the browser is closed
    """

    def __init__(self, purpose: str, *, secure: bool, lifetime: timedelta | None) -> None:
        # With the prefix, a browser accepts the cookie only from this host, over https, for all paths
        # (RFC 6265bis, 4.1.3.2). Another host of the same domain can neither read nor set it.
        self.name = f"__Host-combine_{purpose}" if secure else f"combine_{purpose}"
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
        """Return the value of the first cookie of this name, or "" if the value is not ASCII.

        It does not use ``request.cookies``, which raises if any cookie, even of another application, is
        not UTF-8.
        """
        encoded_name = self.name.encode()
        for name, value in parse_cookie(request.environ.get("HTTP_COOKIE", "")):
            if name == encoded_name:
                return value.decode() if value.isascii() else ""
        return None

    def headers(self, value: str | None) -> list[tuple[str, str]]:
        """Return the headers that set the cookie, or delete it if the value is ``None``."""
        headers: list[tuple[str, str]] = self.profile.get_headers(value)
        return headers
