"""Cookies: how they are named and protected, and how one is read."""

from __future__ import annotations

from typing import Any

from pyramid.util import SimpleSerializer
from webob.cookies import CookieProfile, parse_cookie

from combine_core.settings import CoreSettings


def cookies_are_secure(core: CoreSettings) -> bool:
    """Whether the service's cookies are sent over https alone.

    Plain http is a developer's own machine; everywhere else they stay within https.
    """
    return not (core.is_development and core.public_url.startswith("http://"))


def cookie_name(word: str, *, secure: bool) -> str:
    """The cookie's name.

    With the prefix, a browser takes the cookie from this host alone, over https alone, for all
    paths (RFC 6265bis, 4.1.3.2): a neighbour below the same domain can neither read nor plant it.
    """
    return f"__Host-combine_{word}" if secure else f"combine_{word}"


def cookie_profile(name: str, *, secure: bool, max_age: int | None) -> CookieProfile:
    """A cookie that no script reads and no foreign site sends with a form.

    :param max_age: seconds that it lives; ``None``: until the browser is closed
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
    """The value of the first cookie of this name; "" where it is not ASCII.

    ``request.cookies`` will not do: it raises where any cookie, also a foreign one, is no UTF-8.
    """
    wanted = name.encode()
    for found, value in parse_cookie(request.environ.get("HTTP_COOKIE", "")):
        if found == wanted:
            return value.decode() if value.isascii() else ""
    return None
