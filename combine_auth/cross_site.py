"""CORS for the API, and CSRF protection for the pages.

Pages of the origins in ALLOWED_ORIGINS may call the API from a browser; pages of other origins may not
(Fetch, 3.2). The whole origin is compared, and only an allowed origin is reflected. CORS requests
carry a token, never cookies, so a page of another site cannot act as the user who is signed in here.
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
    """Return the tween that answers preflight requests and adds CORS headers for allowed origins."""
    allowed = frozenset(settings_of(registry, CoreSettings).allowed_origins)
    known_hosts = hosts.hosts_of(registry)

    def cors_tween(request: Any) -> Any:
        environ = request.environ
        if _CORS_PATHS.fullmatch(environ.get("PATH_INFO", "")) is None:
            return handler(request)
        origin = environ.get("HTTP_ORIGIN")
        if _is_preflight(environ) and known_hosts.knows(environ):
            # A preflight carries no credentials, so it must be answered before authentication.
            response = Response(status=204)
            response.vary = ["Access-Control-Request-Method", "Access-Control-Request-Headers"]
            if origin in allowed:
                response.headers["Access-Control-Allow-Methods"] = _METHODS
                response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
                response.headers["Access-Control-Max-Age"] = _PREFLIGHT_MAX_AGE_S
        else:
            response = handler(request)
        # Responses to other origins vary too: a shared cache must not serve them to an allowed one.
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
    """A store of CSRF tokens that uses the double-submit pattern: a form repeats the token of a cookie.

    It corrects three faults of Pyramid's class, which fails with a 500 if any cookie is not UTF-8 or if
    a file is sent in place of the token, and which does not check ``Origin`` over http. Behind a proxy
    that terminates TLS, requests arrive over http.

    :param secure: whether the cookie is sent over https only
    :param origins: origins whose pages may send forms, in addition to the request's own host
    """

    def __init__(self, *, secure: bool, origins: Iterable[str]) -> None:
        self._cookie = Cookie("csrf", secure=secure, lifetime=None)
        # Pyramid's class reads these two attributes.
        self.cookie_name, self.cookie_profile = self._cookie.name, self._cookie.profile
        self._origins = frozenset(origins)

    def get_csrf_token(self, request: Any) -> str:
        """Return the token for the forms of this browser. The first call creates it."""
        token = self._cookie.read(request)
        if token is not None and _CSRF_TOKEN.fullmatch(token):
            return token
        new_token: str = self.new_csrf_token(request)
        return new_token

    def check_csrf_token(self, request: Any, supplied_token: Any) -> bool:
        """Check that the request was sent by a page of this service."""
        origin: str | None = request.environ.get("HTTP_ORIGIN")
        # curl and old browsers send no Origin; the token alone decides for them.
        if origin is not None and origin != request.host_url and origin not in self._origins:
            logger.warning(
                "rejected a form sent from the origin %.200r. If that is this service's own address,"
                " set PUBLIC_URL to it, and add it to ALLOWED_ORIGINS",
                origin,
            )
            return False
        if not isinstance(supplied_token, str):
            return False
        is_valid: bool = super().check_csrf_token(request, supplied_token)
        return is_valid


def includeme(config: Configurator) -> None:
    """Add the tweens, in their order relative to those of :mod:`combine_core.web`."""
    config.include(hosts)
    # Outside the error views, which also redirect.
    config.add_tween(public_url.TWEEN, over=(web.TRANSACTION, EXCVIEW))
    # Outside the transaction and the error views, so that error responses get the CORS headers too.
    config.add_tween(f"{__name__}.cors_tween_factory", over=(web.TRANSACTION, EXCVIEW))
    # Inside the tween that turns errors into problem documents, so that API clients get JSON.
    config.add_tween(hosts.TWEEN, under=(web.PROBLEMS, EXCVIEW), over=(web.GUARD, MAIN))
