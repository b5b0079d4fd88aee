"""Who may see the details of the full status."""

import logging
import re
from ipaddress import ip_address, ip_network
from typing import Any

log = logging.getLogger("combine_health")

PERMISSION = "health:details"

_FORWARDED_FOR = re.compile(r'(?i)\bfor\s*=\s*"?(\[[^\]]*\]|[^;,"\s]*)')  # RFC 7239

_LOCAL = [
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",  # RFC 4193
        "fe80::/10",
    )
]


def may_see_details(request: Any, policy: str) -> bool:
    """Whether the setting ``combine_health.details`` lets the sender of this request see."""
    if policy == "local":
        return _is_local(request)
    if policy == "authorized":
        return _is_authorized(request)
    return policy == "always"


def _is_local(request: Any) -> bool:
    # A proxy that the server was not told to trust has a private address itself; the hops it names
    # can only take the right away, so they need not be believed to be used.
    hops = [hop.strip() for hop in request.environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    hops += _FORWARDED_FOR.findall(request.environ.get("HTTP_FORWARDED", ""))
    return all(map(_is_local_address, [request.remote_addr or "", *filter(None, hops)]))


def _is_local_address(text: str) -> bool:
    if text == "localhost":  # what waitress says of a client on a Unix socket
        return True
    if text.count(":") == 1:
        text = text.partition(":")[0]  # IPv4 with a port
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in _LOCAL)


def _is_authorized(request: Any) -> bool:
    try:
        return bool(request.has_permission(PERMISSION))
    except Exception:
        # The policy may need the very database whose absence is being looked into.
        log.exception("the permission %s could not be decided; details are withheld", PERMISSION)
        return False
