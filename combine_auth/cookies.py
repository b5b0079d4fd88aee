"""How our cookies are named, protected and read."""

from __future__ import annotations

from typing import Any

from pyramid.util import SimpleSerializer
from webob.cookies import CookieProfile, parse_cookie

from combine_core.settings import CoreSettings


def cookies_are_secure(core: CoreSettings) -> bool:
    """Whether the service's cookies are sent over https only: always, but for a developer's own machine."""
    return not (core.is_development and core.public_url.startswith("http://"))


def cookie_name(word: str, *, secure: bool) -> str:
    """The cookie's name.

    With the prefix, a browser accepts the cookie only from this host, over https, for all paths
    (RFC 6265bis, 4.1.3.2). Another host of the same domain can neither read nor set it.
    """
    return f"__Host-combine_{word}" if secure else f"combine_{word}"


def cookie_profile(name: str, *, secure: bool, max_age: int | None) -> CookieProfile:
    """A cookie that no script can read, and that no form of a foreign site sends.

    :param max_age: its lifetime in seconds; ``None``: until the browser is closed
    """
    return CookieProfile(
        name,
        secure=secure,
        max_age=max_age,
        httponly=True,
        samesite="Lax",
        path="/",
        serializer=SimpleSerializer(),
    )


def read_cookie(request: Any, name: str) -> str | None:
    """The value of the first cookie of this name; "" if it is not ASCII.

    ``request.cookies`` cannot be used: it raises if any cookie, even a foreign one, is not UTF-8.
    """
    wanted = name.encode()
    for found, value in parse_cookie(request.environ.get("HTTP_COOKIE", "")):
        if found == wanted:
            return value.decode() if value.isascii() else ""
    return None
