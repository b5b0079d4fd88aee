"""Rate limits by kind of request, such as sign-ins and token requests. Requests beyond a limit get a 429.

Clients are identified by ``request.remote_addr``: behind a trusted proxy, this is the address that the proxy
reports, never one that the client claims. With ``memory://`` (the default of ``RATE_LIMIT_STORAGE``) each
process counts separately, so four replicas allow four times as many requests. With ``redis://...`` they
share the counters. While Redis is unavailable, no limit applies.
"""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.renderers import render_to_response
from pyramid.response import Response

from combine_auth.limits.limiter import RULES, Limiter, RateLimited, client_key, make_storage, rules
from combine_auth.settings import AuthSettings
from combine_core.web import SecretPresented
from combine_core.web.problems import MEDIA_TYPE, ProblemError, problem_document

__all__ = ["RULES", "Limiter", "RateLimited", "check_limit", "client_key", "hit_limit"]

_LIMITER = "combine_auth.limiter"
_PAGE = "combine_auth:limits/too_many.jinja2"


def check_limit(request: Any, name: str) -> None:
    """Count a request of this kind (a key of ``RULES``) by address and in total. Raises RateLimited."""
    limiter: Limiter | None = request.registry.get(_LIMITER)
    if limiter is not None:
        limiter.check(name, request.remote_addr)


def hit_limit(request: Any, name: str, key: str) -> None:
    """Count a request by a key too, such as a user id, after :func:`check_limit`. Raises RateLimited."""
    limiter: Limiter | None = request.registry.get(_LIMITER)
    if limiter is not None:
        limiter.hit(name, key)


def includeme(config: Configurator) -> None:
    """Set up the limiter, unless ``combine_auth.rate_limits = false``. It connects on first use."""
    settings = config.add_addon_settings(AuthSettings)
    if settings.rate_limits:
        url = settings.rate_limit_storage.get_secret_value()
        config.registry[_LIMITER] = Limiter(make_storage(url), rules(settings.address_limits))
    config.add_subscriber(limit_secrets, SecretPresented)
    config.add_exception_view(too_many_requests, context=RateLimited)


def limit_secrets(event: SecretPresented) -> None:
    """Count the use of an invitation to a project, which combine_core handles (a subscriber)."""
    check_limit(event.request, "project-invitation")


def too_many_requests(error: RateLimited, request: Any) -> Response:
    """Return a 429 with ``Retry-After`` (RFC 6585, 4): a page for browsers, otherwise a problem document."""
    offers = request.accept.acceptable_offers([MEDIA_TYPE, "application/json", "text/html"])
    headers = {"Retry-After": str(error.wait_seconds)}
    if not offers or offers[0][0] != "text/html":
        problem = ProblemError(429, error.detail, kind="rate-limited", headers=headers)
        return problem_document(request, problem)
    request_id = getattr(request, "request_id", None)
    values = {"identity": None, "retry_after": error.wait_seconds, "request_id": request_id}
    response = render_to_response(_PAGE, values, request=request)
    response.status_int = 429
    response.headers.update(headers)
    return response
