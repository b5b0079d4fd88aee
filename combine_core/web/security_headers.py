"""Adds security headers for browsers to every response except those to probes."""

from __future__ import annotations

from collections.abc import Callable

from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from combine_core.web.paths import is_probe

# The service serves every script and style sheet itself, uses none inline, and forbids framing.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # "no-referrer" would make browsers send "Origin: null" with our own forms, which the origin check
    # rejects.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Content of a project must not remain in a shared cache, or in the browser after signing out.
    "Cache-Control": "no-store",
}
_ONE_YEAR_S = 31_536_000


def security_headers_tween_factory(
    handler: Callable[[Request], Response],
    registry: Registry,  # noqa: ARG001
) -> Callable[[Request], Response]:
    """Make the tween that adds the headers. It keeps headers that the view has set."""

    def security_headers_tween(request: Request) -> Response:
        response = handler(request)
        if not is_probe(request):
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
            if request.scheme == "https":
                response.headers.setdefault("Strict-Transport-Security", f"max-age={_ONE_YEAR_S}")
        return response

    return security_headers_tween
