"""The sign-in page, and what its buttons do."""

from __future__ import annotations

import logging
from typing import Any

from pyramid.httpexceptions import HTTPMethodNotAllowed, HTTPNotFound, HTTPSeeOther
from pyramid.security import forget, remember

from combine_auth.sign_in.local import is_switched_on, local_user, why_not_local
from combine_auth.sign_in.next_path import next_of_query, safe_next

logger = logging.getLogger(__name__)


def sign_in(request: Any) -> Any:
    """The ways to sign in. Who is signed in goes on at once."""
    target = next_of_query(request)
    if request.identity is not None:
        return HTTPSeeOther(location=target)
    return _page(request, target)


def _page(request: Any, target: str, refused: str | None = None) -> dict[str, Any]:
    on = is_switched_on(request)
    return {"next": target, "local": on, "why_not": why_not_local(request), "refused": refused}


def local(request: Any) -> Any:
    """Sign in as the local developer."""
    if not is_switched_on(request):
        raise HTTPNotFound
    given = request.POST.get("next", "")
    target = safe_next(given if isinstance(given, str) else "")
    if why_not_local(request) is not None:
        request.response.status_int = 403
        return _page(request, target)
    user = local_user(request.dbsession)
    if user.disabled_at is not None:
        request.response.status_int = 403
        enable = f"combine user enable {user.email} -c development.ini"
        return _page(request, target, f"{user.email} is disabled. To enable it: {enable}")
    headers = remember(request, user.id)
    logger.info("%s signed in locally", user.email)
    return HTTPSeeOther(location=target, headers=headers)


def sign_out(request: Any) -> Any:
    """End the session of this browser, if it has one."""
    return HTTPSeeOther(location=request.route_path("auth.sign_in"), headers=forget(request))


def post_only(request: Any) -> Any:  # noqa: ARG001
    """Another method than POST."""
    return HTTPMethodNotAllowed(headers=[("Allow", "POST")])
