"""The local sign-in for development: one button, only for requests from this machine."""

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

# Any of these headers says that a proxy has forwarded the request.
_PROXY_HEADERS = re.compile(
    "HTTP_(FORWARDED|X_FORWARDED_.*|X_REAL_IP|X_CLIENT_IP|X_CLUSTER_CLIENT_IP|TRUE_CLIENT_IP"
    "|CF_CONNECTING_IP|VIA)"
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:[0-9]*)?")


def is_switched_on(request: Any) -> bool:
    registry = request.registry
    return (
        settings_of(registry, AuthSettings).local_sign_in
        and settings_of(registry, CoreSettings).is_development
    )


def why_not_local(request: Any) -> str | None:
    """Why this request does not count as local; ``None`` if it comes from this machine."""
    environ = request.environ
    if not _is_loopback(environ.get("REMOTE_ADDR", "")):
        return "It came from another machine."
    if any(_PROXY_HEADERS.fullmatch(name) for name in environ):
        return "It came through a proxy."
    # A foreign site may resolve its own name to 127.0.0.1 and make the browser send requests here
    # (DNS rebinding). The header Host then still names that site.
    host = _HOST.fullmatch(environ.get("HTTP_HOST", ""))
    if host is None or not (host["host"].lower() == "localhost" or _is_loopback(host["host"])):
        return "It did not ask for localhost."
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
    """The user whom the button signs in, created at first use. It is not an administrator."""
    return get_or_create_user(session, EMAIL, NAME)
