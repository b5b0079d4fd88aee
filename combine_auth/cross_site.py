"""What pages of other sites may do here: CORS, and the protection against forged forms (CSRF).

CORS: pages of the origins in ALLOWED_ORIGINS may call the API from a browser, and pages of other
origins may not (Fetch, 3.2). An origin is compared as a whole and is reflected only if it is one of
them. Cookies do not take part: such pages send a token. So a foreign page can never act as the visitor
who happens to be signed in here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.registry import Registry
from pyramid.response import Response
from pyramid.tweens import EXCVIEW, MAIN

from combine_auth import public_url
from combine_core import web
from combine_core.settings import CoreSettings, settings_of
from combine_core.web import hosts
from combine_core.web.cookies import Cookie

logger = logging.getLogger(__name__)

Handler = Callable[[Any], Any]

_CORS_PATHS = re.compile(r"/(api|oauth|\.well-known)(/.*)?", re.DOTALL)
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS = (
    "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID"
)
_EXPOSED_HEADERS = (
    "Content-Disposition, ETag, Idempotent-Replayed, Link, Location, Retry-After, WWW-Authenticate,"
    " X-Request-ID"
)
_PREFLIGHT_MAX_AGE_S = "600"
_CSRF_TOKEN = re.compile("[0-9a-f]{32}")


def cors_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """The tween that answers preflight requests, and marks the responses to allowed origins."""
    allowed = frozenset(settings_of(registry, CoreSettings).allowed_origins)
    known_hosts = hosts.hosts_of(registry)

    def cors_tween(request: Any) -> Any:
        environ = request.environ
        if _CORS_PATHS.fullmatch(environ.get("PATH_INFO", "")) is None:
            return handler(request)
        origin = environ.get("HTTP_ORIGIN")
        if _is_preflight(environ) and known_hosts.knows(environ):
            # A preflight carries no credentials, so it is answered before anything asks for them.
            response = Response(status=204)
            response.vary = ["Access-Control-Request-Method", "Access-Control-Request-Headers"]
            if origin in allowed:
                response.headers["Access-Control-Allow-Methods"] = _METHODS
                response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
                response.headers["Access-Control-Max-Age"] = _PREFLIGHT_MAX_AGE_S
        else:
            response = handler(request)
        # On responses to other origins too: a shared cache must not hand them to an allowed one.
        response.vary = [*(response.vary or ()), "Origin"]
        if origin in allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
        return response

    return cors_tween


def _is_preflight(environ: dict[str, Any]) -> bool:
    return (
        environ.get("REQUEST_METHOD") == "OPTIONS"
        and "HTTP_ORIGIN" in environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )


class CsrfTokens(CookieCSRFStoragePolicy):  # type: ignore[misc]
    """Makes and checks CSRF tokens by double submit: a form repeats the token of a cookie.

    It repairs three faults of Pyramid's own storage. That one fails (500) if any cookie is not UTF-8,
    and if a file is sent in the place of the token. And it does not check ``Origin`` over http, which a
    service behind a proxy that ends TLS seems to be reached by.

    :param secure: whether the cookie is sent over https only
    :param origins: whose pages may send forms here, besides the host that the request names
    """

    def __init__(self, *, secure: bool, origins: Iterable[str]) -> None:
        self._cookie = Cookie("csrf", secure=secure, lifetime=None)
        # Pyramid's class uses these two.
        self.cookie_name, self.cookie_profile = self._cookie.name, self._cookie.profile
        self._origins = frozenset(origins)

    def get_csrf_token(self, request: Any) -> str:
        """The token that forms of this browser repeat. It is made at the first use."""
        token = self._cookie.read(request)
        if token is not None and _CSRF_TOKEN.fullmatch(token):
            return token
        made: str = self.new_csrf_token(request)
        return made

    def check_csrf_token(self, request: Any, supplied_token: Any) -> bool:
        """Whether the request comes from one of our pages."""
        origin: str | None = request.environ.get("HTTP_ORIGIN")
        # Curl and old browsers send no Origin. Then the token alone decides.
        if origin is not None and origin != request.host_url and origin not in self._origins:
            logger.warning(
                "A form came from the origin %.200r. Is PUBLIC_URL among ALLOWED_ORIGINS?", origin
            )
            return False
        if not isinstance(supplied_token, str):
            return False
        right: bool = super().check_csrf_token(request, supplied_token)
        return right


def includeme(config: Configurator) -> None:
    """Place the tweens of this add-on among those of :mod:`combine_core.web`."""
    config.include(hosts)
    # Outside the error views too: they also redirect.
    config.add_tween(public_url.TWEEN, over=(web.TRANSACTION, EXCVIEW))
    # Outside the transaction and the error views: refusals and failures get the CORS headers too.
    config.add_tween(f"{__name__}.cors_tween_factory", over=(web.TRANSACTION, EXCVIEW))
    # Inside the problem documents, where combine_core brings them: a program gets its own kind of answer.
    config.add_tween(hosts.TWEEN, under=(web.PROBLEMS, EXCVIEW), over=(web.GUARD, MAIN))
