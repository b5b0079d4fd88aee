"""Rejects malformed and oversized requests before any view reads them. Probes are not checked."""

from __future__ import annotations

import re
from collections.abc import Callable

from pyramid.config import Configurator
from pyramid.httpexceptions import (
    HTTPBadRequest,
    HTTPNotFound,
    HTTPRequestEntityTooLarge,
    HTTPUnsupportedMediaType,
)
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from combine_core.settings import settings_of
from combine_core.settings.core import CoreSettings
from combine_core.web.memory_budget import hold_memory
from combine_core.web.paths import is_probe

_HOST = re.compile(r"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def guard_tween_factory(
    handler: Callable[[Request], Response], registry: Registry
) -> Callable[[Request], Response]:
    """Make the tween that calls :func:`check_request` and counts the memory that request bodies take."""
    limit = _body_limit(registry)

    def guard_tween(request: Request) -> Response:
        if not is_probe(request):
            check_request(request, limit)
            hold_memory(request, request.content_length or 0)
        return handler(request)

    return guard_tween


def _body_limit(registry: Registry) -> int:
    try:
        return settings_of(registry, CoreSettings).max_request_body_size
    except LookupError:  # an application that includes the pages without our settings
        default: int = CoreSettings.model_fields["max_request_body_size"].default
        return default


def check_request(request: Request, limit: int) -> None:
    """Reject a malformed or oversized request.

    :param limit: the maximum size of the body in bytes
    :raises HTTPException: 400, 404, 413 or 415, with the reason
    """
    try:
        path: str = request.path_info
        # No path has control characters, but a "$" in a route's pattern would let a line break pass.
        if _CONTROL.search(path):
            raise HTTPNotFound
    except UnicodeDecodeError as error:
        # The search for an error view decodes the path again, for example in a view predicate.
        raw = request.environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        request.environ["PATH_INFO"] = raw.encode("utf-8").decode("latin-1")
        raise HTTPNotFound from error
    # Building a URL from an invalid host would fail later with an unclear error.
    if not _HOST.fullmatch(request.host):
        raise HTTPBadRequest("The Host header is not a valid host name.")
    # WebOb treats ";" like "&", unlike the current URL standard, so a value would be cut in two.
    if ";" in request.query_string:
        request.query_string = request.query_string.replace(";", "%3B")
    try:
        request.GET  # noqa: B018 - decodes the query
    except UnicodeDecodeError as error:
        raise HTTPBadRequest("The query of the URL is not UTF-8.") from error
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise HTTPUnsupportedMediaType("Send the body uncompressed, without Content-Encoding.")
    if (request.content_length or 0) > limit:
        raise HTTPRequestEntityTooLarge(
            f"The body is larger than {limit} bytes. Send less at once."
        )


def keep_body(request: Request) -> None:
    """Tell pyramid_retry that it need not copy the body for a later attempt.

    waitress passes a complete body that can be read again. pyramid_retry copies the bodies of other
    servers.

    :returns: ``None``, so that the settings decide the number of attempts
    """
    body = request.environ["wsgi.input"]
    if hasattr(body, "seekable") and body.seekable():
        request.is_body_seekable = True


def includeme(config: Configurator) -> None:
    """Set the hook of pyramid_retry. :mod:`combine_core.web` adds the tween."""
    config.registry.settings.setdefault("retry.activate_hook", keep_body)
