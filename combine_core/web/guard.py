"""Turns malformed and oversized requests away before anything reads them. For all paths but probes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyramid.httpexceptions import (
    HTTPBadRequest,
    HTTPNotFound,
    HTTPRequestEntityTooLarge,
    HTTPUnsupportedMediaType,
)
from pyramid.tweens import MAIN

from combine_core.settings import settings_of
from combine_core.settings.core import CoreSettings
from combine_core.web import problems

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry
    from pyramid.request import Request
    from pyramid.response import Response

_HOST = re.compile(r"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def keep_body(request: Request) -> None:
    """Hook of pyramid_retry, which copies each body, to read it again in a further attempt.

    The body that waitress hands over can be read again as it is: it has been received as a whole.
    Other servers' cannot, and are copied.

    :returns: ``None``: as many attempts as the settings say
    """
    body = request.environ["wsgi.input"]
    if hasattr(body, "seekable") and body.seekable():
        request.is_body_seekable = True


def guard_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """The tween that calls :func:`check_request`."""
    limit = settings_of(registry, CoreSettings).max_request_body_size

    def guard_tween(request: Request) -> Response:
        path: str = request.environ.get("PATH_INFO", "")
        if path != "/health" and not path.startswith("/health/"):
            check_request(request, limit)
        return handler(request)

    return guard_tween


def check_request(request: Request, limit: int) -> None:
    """Raise the HTTP error that this request deserves before it is looked at.

    :param limit: bytes that a body may have
    """
    try:
        path: str = request.path_info
        # No route has these, but a "$" in a route's pattern would let a line break pass.
        if _CONTROL.search(path):
            raise HTTPNotFound
    except UnicodeDecodeError as error:
        # Whoever looks for the answer to this decodes it once more, such as a view's predicate.
        raw = request.environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        request.environ["PATH_INFO"] = raw.encode("utf-8").decode("latin-1")
        raise HTTPNotFound from error
    # URLs are built from it, which fails for what is no host.
    if not _HOST.fullmatch(request.host):
        raise HTTPBadRequest("The header Host names no host.")
    try:
        request.GET  # noqa: B018 - decodes the query
    except UnicodeDecodeError as error:
        raise HTTPBadRequest("The query of the URL is not UTF-8.") from error
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise HTTPUnsupportedMediaType("Send the body as it is, without Content-Encoding.")
    if (request.content_length or 0) > limit:
        raise HTTPRequestEntityTooLarge(f"The body has more than {limit} bytes. Send less at once.")


def includeme(config: Configurator) -> None:
    """Guard all that is inside the problem documents, so that what is refused becomes one."""
    config.add_tween(f"{__name__}.guard_tween_factory", under=problems.TWEEN, over=MAIN)
    config.registry.settings.setdefault("retry.activate_hook", keep_body)
