"""Protection against forms that a foreign page sends in a signed-in user's name.

Double submit: a cookie that only this host can set holds a token, and a form repeats it. It is
Pyramid's storage of that kind with three faults mended. It raises (500) where any cookie is no
UTF-8, and where a file is sent in the token's place. And it does not look at ``Origin`` over http,
which a service behind a proxy that ends TLS seems to be reached by.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Any

from pyramid.csrf import CookieCSRFStoragePolicy

from combine_auth.cookies import cookie_name, cookie_profile, read_cookie

logger = logging.getLogger(__name__)

_TOKEN = re.compile("[0-9a-f]{32}")


class CsrfTokens(CookieCSRFStoragePolicy):  # type: ignore[misc]
    """Makes and checks CSRF tokens.

    :param secure: the cookie is sent over https alone
    :param origins: whose pages may send forms here, besides the host that the request names
    """

    def __init__(self, *, secure: bool, origins: Iterable[str]) -> None:
        self.cookie_name = cookie_name("csrf", secure=secure)
        self.cookie_profile = cookie_profile(self.cookie_name, secure=secure, max_age=None)
        self._origins = frozenset(origins)

    def get_csrf_token(self, request: Any) -> str:
        """The token that forms of this browser repeat; made at first use."""
        token = read_cookie(request, self.cookie_name)
        if token is not None and _TOKEN.fullmatch(token):
            return token
        made: str = self.new_csrf_token(request)
        return made

    def check_csrf_token(self, request: Any, supplied_token: Any) -> bool:
        """Whether the request comes from a page of ours."""
        origin: str | None = request.environ.get("HTTP_ORIGIN")
        # Curl and old browsers send none; the token must do.
        if origin is not None and origin != request.host_url and origin not in self._origins:
            logger.warning(
                "A form came from the origin %.200r. Is PUBLIC_URL among ALLOWED_ORIGINS?", origin
            )
            return False
        if not isinstance(supplied_token, str):
            return False
        right: bool = super().check_csrf_token(request, supplied_token)
        return right
