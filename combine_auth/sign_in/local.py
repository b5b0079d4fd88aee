"""The local sign-in for development, which accepts only requests from this machine."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from sqlalchemy.orm import Session

from combine_auth.settings import AuthSettings
from combine_core.settings import CoreSettings, settings_of
from combine_core.users import User, get_or_create_user

EMAIL = "local@localhost"
NAME = "Local developer"

# Each of these headers shows that a proxy forwarded the request.
_PROXY_HEADERS = re.compile(
    "HTTP_(FORWARDED|X_FORWARDED_.*|X_REAL_IP|X_CLIENT_IP|X_CLUSTER_CLIENT_IP|TRUE_CLIENT_IP"
    "|CF_CONNECTING_IP|VIA)"
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:[0-9]*)?")


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


def local_user(session: Session) -> User:
    """Return the local user, who is not an administrator. The first call creates it."""
    return get_or_create_user(session, EMAIL, NAME)
