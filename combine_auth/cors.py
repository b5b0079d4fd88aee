"""Pages of the origins in ALLOWED_ORIGINS may call the API from a browser; of no others (Fetch, 3.2).

An origin is compared as a whole, and never reflected without being one of them. Cookies stay out of
it: such pages send a token. So a foreign page can never act as the visitor who happens to be signed in
here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyramid.response import Response
from pyramid.tweens import EXCVIEW

from combine_auth.host_check import hosts_of
from combine_core.settings import CoreSettings, settings_of

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry

Handler = Callable[[Any], Any]

_PATHS = re.compile(r"/(api|oauth|\.well-known)(/.*)?", re.DOTALL)
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS = (
    "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID"
)
_EXPOSED = "Content-Disposition, ETag, Link, Location, Retry-After, WWW-Authenticate, X-Request-ID"
_ASK_AGAIN_AFTER_S = "600"


def cors_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """The tween that answers preflights, and marks the answers to allowed origins."""
    allowed = frozenset(settings_of(registry, CoreSettings).allowed_origins)
    hosts = hosts_of(registry)

    def cors_tween(request: Any) -> Any:
        environ = request.environ
        if _PATHS.fullmatch(environ.get("PATH_INFO", "")) is None:
            return handler(request)
        origin = environ.get("HTTP_ORIGIN")
        if _is_preflight(environ) and hosts.knows(environ):
            # Before anybody asks who is there: a preflight never says.
            response = Response(status=204)
            response.vary = ["Access-Control-Request-Method", "Access-Control-Request-Headers"]
            if origin in allowed:
                response.headers["Access-Control-Allow-Methods"] = _METHODS
                response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
                response.headers["Access-Control-Max-Age"] = _ASK_AGAIN_AFTER_S
        else:
            response = handler(request)
        # Also on what other origins get: a shared cache must not hand that to an allowed one.
        response.vary = [*(response.vary or ()), "Origin"]
        if origin in allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        return response

    return cors_tween


def _is_preflight(environ: dict[str, Any]) -> bool:
    return (
        environ.get("REQUEST_METHOD") == "OPTIONS"
        and "HTTP_ORIGIN" in environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )


def includeme(config: Configurator) -> None:
    """Outside the transaction and the error views: refusals and failures are marked too."""
    config.add_tween(
        f"{__name__}.cors_tween_factory", over=("pyramid_tm.tm_tween_factory", EXCVIEW)
    )
