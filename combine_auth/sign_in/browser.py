"""The cookie by which a browser that comes back from a provider is known to be the one that left.

Not the session's: that one changes in a sign-in, and another tab may be on its way meanwhile. One
cookie serves all tabs.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from combine_auth.cookies import cookie_name, cookie_profile, read_cookie
from combine_auth.sign_in.attempts import REMEMBERED_FOR

_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


class BrowserCookie:
    """The cookie; its value is 256 random bits.

    :param secure: sent over https alone; ``False`` only in development on http
    """

    def __init__(self, *, secure: bool) -> None:
        self.name = cookie_name("browser", secure=secure)
        max_age = int(REMEMBERED_FOR.total_seconds())
        self._profile = cookie_profile(self.name, secure=secure, max_age=max_age)

    def read(self, request: Any) -> str | None:
        """What the browser is known by, if it is known."""
        value = read_cookie(request, self.name)
        return value if value is not None and _VALUE.fullmatch(value) else None

    def renew(self, request: Any) -> tuple[str, list[tuple[str, str]]]:
        """What the browser is known by from now on, and the headers that tell it so."""
        value = self.read(request) or secrets.token_urlsafe(32)
        headers: list[tuple[str, str]] = self._profile.get_headers(value)
        return value, headers
