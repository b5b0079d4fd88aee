"""Headers by which a browser protects its user, on every response but the probes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid.registry import Registry
    from pyramid.request import Request
    from pyramid.response import Response

# Everything comes from this service, nothing is inline, nobody may frame it.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # "no-referrer" would make browsers send "Origin: null" with our own forms, which the check of
    # the origin refuses.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # What a member sees must not stay in a shared cache, nor in the browser after signing out.
    "Cache-Control": "no-store",
}
_ONE_YEAR_S = 31_536_000


def is_probe(request: Request) -> bool:
    """Whether a machine asks how the service is: nothing there is shown in a browser."""
    path: str = request.environ.get("PATH_INFO", "")
    return path == "/health" or path.startswith("/health/")


def add_security_headers(request: Request, response: Response) -> None:
    """Add the headers to ``response``; one that the view has set stays as it is."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.scheme == "https":
        response.headers.setdefault("Strict-Transport-Security", f"max-age={_ONE_YEAR_S}")


def security_headers_tween_factory(
    handler: Callable[[Request], Response],
    registry: Registry,  # noqa: ARG001
) -> Callable[[Request], Response]:
    """The tween that calls :func:`add_security_headers`."""

    def security_headers_tween(request: Request) -> Response:
        response = handler(request)
        if not is_probe(request):
            add_security_headers(request, response)
        return response

    return security_headers_tween
