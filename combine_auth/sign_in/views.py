"""The views for the sign-in page, the local sign-in, invitations, and sign-out."""

from __future__ import annotations

import ipaddress
import logging
import re
from typing import Any

from pyramid.httpexceptions import HTTPNotFound, HTTPSeeOther
from pyramid.security import forget, remember

from combine_auth.audit import Action, record_request
from combine_auth.authentication import CredentialKind
from combine_auth.failures import FailureCode, SignInFailure
from combine_auth.identities.invitations import account_of, invited_user
from combine_auth.limits import check_limit
from combine_auth.openid import identity_providers
from combine_auth.sessions import BrowserSession
from combine_auth.settings import AuthSettings, SignUp
from combine_auth.sign_in.flow import client_of_path, prepare_buttons
from combine_auth.sign_in.next_path import HOME, safe_next
from combine_core.settings import CoreSettings, settings_of
from combine_core.users import get_or_create_user
from combine_core.web.forms import text_of

logger = logging.getLogger(__name__)

LOCAL_EMAIL = "local@localhost"

# Each of these headers shows that a proxy forwarded the request.
_PROXY_HEADERS = re.compile(
    "HTTP_(FORWARDED|X_FORWARDED_.*|X_REAL_IP|X_CLIENT_IP|X_CLUSTER_CLIENT_IP|TRUE_CLIENT_IP"
    "|CF_CONNECTING_IP|VIA)"
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:[0-9]*)?")
_OUTDATED = "Nothing was done, because you signed in or out in another tab. Press the button again."


def sign_in(request: Any) -> Any:
    """Render the sign-in page. A signed-in user is redirected."""
    target = safe_next(request.GET.get("next", HOME))
    if request.identity is not None:
        return HTTPSeeOther(location=target)
    return _sign_in_page(request, target)


def outdated_form(request: Any) -> Any:
    """Render the sign-in page again, with a new CSRF token (an exception view).

    A sign-in or sign-out in another tab has replaced the token of this page.
    """
    request.response.status_int = 400
    target = safe_next(text_of(request, "next"))
    return {**_sign_in_page(request, target, _OUTDATED), "signed_in": request.identity}


def _sign_in_page(request: Any, target: str, error: str | None = None) -> dict[str, Any]:
    prepare_buttons(request)
    providers = identity_providers(request.registry)
    return {
        "next": target,
        "local": is_enabled(request),
        "not_local_reason": not_local_reason(request),
        "error": error,
        "providers": [client.provider for client in providers.clients.values()],
        "invited_only": settings_of(request.registry, AuthSettings).sign_up is SignUp.INVITED,
        "hidden": providers.hidden,
        "provider_sign_out": _provider_sign_out(request),
        "signed_in": None,
    }


def _provider_sign_out(request: Any) -> tuple[str, str] | None:
    """Return the title and the sign-out address of the provider that the user was signed in with."""
    name = request.GET.get("signed_out", "")
    client = identity_providers(request.registry).clients.get(name)
    if client is None:
        return None
    public_url = settings_of(request.registry, CoreSettings).public_url
    url = client.end_session_url(return_to=f"{public_url}{request.route_path('auth.sign_in')}")
    return None if url is None else (client.provider.title, url)


def provider_page(request: Any) -> Any:
    """Redirect the address of a provider to the sign-in page."""
    client_of_path(request)
    return HTTPSeeOther(location=request.route_path("auth.sign_in"))


def local(request: Any) -> Any:
    if not is_enabled(request):
        raise HTTPNotFound
    target = safe_next(text_of(request, "next"))
    if not_local_reason(request) is not None:
        request.response.status_int = 403
        return _sign_in_page(request, target)
    # The local user is not an administrator.
    user = get_or_create_user(request.dbsession, LOCAL_EMAIL, "Local developer")
    if user.disabled_at is not None:
        request.response.status_int = 403
        enable = f"combine user enable {user.email}"
        return _sign_in_page(request, target, f"{user.email} is disabled. To enable it: {enable}")
    record_request(
        request, Action.SIGN_IN, actor_id=user.id, actor=user.email, target=f"user:{user.id}"
    )
    headers = remember(request, user.id)
    logger.info("%s signed in locally", user.email)
    return HTTPSeeOther(location=target, headers=headers)


def invitation(request: Any) -> Any:
    """Render the page of an invitation link: the invited user, and a button for each provider."""
    check_limit(request, "invitation")
    token = request.GET.get("token", "")
    user = invited_user(request.dbsession, token)
    if user is None:
        raise SignInFailure(FailureCode.INVITATION_INVALID, "the link is not valid")
    prepare_buttons(request)
    clients = identity_providers(request.registry).clients.values()
    account = account_of(request.dbsession, user)
    return {
        "account": account,
        "confirmed": not account.in_use or request.GET.get("confirmed") == "yes",
        "invitation": token,
        "providers": [client.provider for client in clients],
    }


def sign_out(request: Any) -> Any:
    """End the session of this browser, if it has one."""
    provider = None
    proof = request.proof
    if proof is not None and proof.kind is CredentialKind.SESSION:
        row = request.dbsession.get(BrowserSession, proof.id)
        provider = row and row.provider
        record_request(request, Action.SIGN_OUT, target=f"session:{proof.id}")
    query = {"signed_out": provider} if provider else None
    location = request.route_path("auth.sign_in", _query=query)
    return HTTPSeeOther(location=location, headers=forget(request))


# The local sign-in for development, which accepts only requests from this machine.


def is_enabled(request: Any) -> bool:
    registry = request.registry
    return (
        settings_of(registry, AuthSettings).local_sign_in
        and settings_of(registry, CoreSettings).is_development
    )


def not_local_reason(request: Any) -> str | None:
    """Return the reason why the request is not local; ``None`` if it comes from this machine."""
    environ = request.environ
    if not _is_loopback(environ.get("REMOTE_ADDR", "")):
        return "This request came from another machine."
    if any(_PROXY_HEADERS.fullmatch(name) for name in environ):
        return "This request came through a proxy."
    # Another site may resolve its own name to 127.0.0.1 and make the browser send requests here
    # (DNS rebinding). The Host header then contains the name of that site.
    host = _HOST.fullmatch(environ.get("HTTP_HOST", ""))
    if host is None or not (host["host"].lower() == "localhost" or _is_loopback(host["host"])):
        return "This request was not for localhost."
    return None


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    # A dual-stack socket shows an IPv4 client as ::ffff:127.0.0.1.
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
