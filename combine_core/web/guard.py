"""Refuses malformed and oversized requests before anything reads them. Probes are not checked."""

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
    """The tween that calls :func:`check_request`, and counts the bodies that are held at once."""
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
    except LookupError:  # the pages alone, in an application without our settings
        default: int = CoreSettings.model_fields["max_request_body_size"].default
        return default


def check_request(request: Request, limit: int) -> None:
    """Refuse a request that cannot be handled.

    :param limit: the largest body, in bytes
    :raises HTTPException: 400, 404, 413 or 415, with what is wrong
    """
    try:
        path: str = request.path_info
        # No route has these, but a "$" in a route's pattern would let a line break pass.
        if _CONTROL.search(path):
            raise HTTPNotFound
    except UnicodeDecodeError as error:
        # The search for an error view decodes the path again, for example in a view predicate.
        raw = request.environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        request.environ["PATH_INFO"] = raw.encode("utf-8").decode("latin-1")
        raise HTTPNotFound from error
    # URLs are built from the host. That would fail later and less clearly.
    if not _HOST.fullmatch(request.host):
        raise HTTPBadRequest("The header Host names no host.")
    # WebOb takes it for "&", which no standard does any more: half of a value would be lost.
    if ";" in request.query_string:
        request.query_string = request.query_string.replace(";", "%3B")
    try:
        request.GET  # noqa: B018 - decodes the query
    except UnicodeDecodeError as error:
        raise HTTPBadRequest("The query of the URL is not UTF-8.") from error
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise HTTPUnsupportedMediaType("Send the body as it is, without Content-Encoding.")
    if (request.content_length or 0) > limit:
        raise HTTPRequestEntityTooLarge(
            f"The body is larger than {limit} bytes. Send less at once."
        )


def keep_body(request: Request) -> None:
    """Hook of pyramid_retry, which otherwise copies each body to read it again in a later attempt.

    waitress has received the whole body, and it can be read again. Bodies of other servers cannot be
    and are copied.

    :returns: ``None``: the settings decide the number of attempts
    """
    body = request.environ["wsgi.input"]
    if hasattr(body, "seekable") and body.seekable():
        request.is_body_seekable = True


def includeme(config: Configurator) -> None:
    """Let requests be retried. :mod:`combine_core.web` places the tween."""
    config.registry.settings.setdefault("retry.activate_hook", keep_body)
