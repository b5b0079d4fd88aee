"""Decides which clients may see the details of the full status and the metrics."""

import logging
import re
from ipaddress import ip_address, ip_network
from typing import Any

from pyramid.interfaces import IAuthenticationPolicy, IRootFactory, ISecurityPolicy
from pyramid.request import Request
from pyramid.traversal import DefaultRootFactory

from combine_health.engine.execute import describe
from combine_health.engine.registry import HealthRegistry

log = logging.getLogger("combine_health")

PERMISSION = "health:details"
TOKEN_HEADER = "X-Health-Token"  # noqa: S105 - the header's name

_FORWARDED_FOR = re.compile(r'(?i)\bfor\s*=\s*"?(\[[^\]]*\]|[^;,"\s]*)')  # RFC 7239

# Headers that proxies add. waitress removes the X-Forwarded-For of an untrusted proxy but keeps these.
# The headers in the first group contain the client's address.
_CLIENT = ("X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP", "X-Cluster-Client-IP")
_PROXY_SIGNS = (*_CLIENT, "Via", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port")

_LOCAL_V4 = "127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16"
_LOCAL_V6 = "::1/128 fc00::/7 fe80::/10"  # fc00::/7: RFC 4193
_LOCAL = [ip_network(text) for text in f"{_LOCAL_V4} {_LOCAL_V6}".split()]


class EarlyRequest(Request):  # type: ignore[misc]  # Pyramid has no types
    """A request from Pyramid and the WSGI server, before any code of the application has run.

    :ivar may_see_details: the decision of the application, or ``None`` before it has decided
    """

    may_see_details: bool | None = None


class MustAskApplication(Exception):
    """Only the application can decide whether an `EarlyRequest` may see details."""


def may_see_details(request: Any, health: HealthRegistry) -> bool:
    """Check whether the setting ``combine_health.details`` or the token allows details.

    Raises `MustAskApplication` if the application decides and has not decided yet.
    """
    policy = health.settings.details
    if policy == "never":
        return False
    if policy == "always" or _has_token(request, health):
        return True
    if policy == "local":
        return _is_local(request, health)
    return _is_authorized(request, health)


def may_read_metrics(request: Any, health: HealthRegistry) -> bool:
    """Check whether the setting ``combine_health.metrics`` or the token allows the metrics."""
    policy = health.settings.metrics
    if policy == "never":
        return False
    return policy == "always" or _has_token(request, health) or _is_local(request, health)


def _has_token(request: Any, health: HealthRegistry) -> bool:
    token = health.settings.token
    if token is None:
        return False
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    bearer = value.strip() if scheme.lower() == "bearer" else ""
    # Always compare both, so that the response time reveals nothing.
    return token.matches(bearer) | token.matches(request.headers.get(TOKEN_HEADER, "").strip())


def _is_local(request: Any, health: HealthRegistry) -> bool:
    """Check whether the client has a loopback or private address.

    The client's address is ``REMOTE_ADDR``, which a server sets from the headers of a trusted proxy.
    An untrusted proxy usually has a private address itself. The addresses in its headers may be
    forged, but here they can only deny access. Without any address, other headers reveal the proxy.
    The setting ``combine_health.behind_proxy`` is for proxies that add no headers.
    """
    headers = request.headers
    hops = [hop.strip() for hop in headers.get("X-Forwarded-For", "").split(",")]
    hops += _FORWARDED_FOR.findall(headers.get("Forwarded", ""))
    hops = [hop for hop in hops if hop]
    named = [headers[name].strip() for name in _CLIENT if headers.get(name)]
    if not all(map(_is_local_address, [request.remote_addr or "", *hops, *named])):
        return False
    if hops:
        return True
    if health.settings.behind_proxy:
        health.warn_once(
            "behind_proxy",
            "health details are hidden from requests without X-Forwarded-For, because"
            " combine_health.behind_proxy is true: set trusted_proxy of the server, or send the"
            " token",
        )
        return False
    if any(headers.get(name) for name in _PROXY_SIGNS):
        health.warn_once(
            "proxy",
            "health details are hidden from requests through a proxy that the server does not"
            " trust: set trusted_proxy of the server, and combine_health.behind_proxy = true",
        )
        return False
    return True


def _is_local_address(text: str) -> bool:
    if text == "localhost":  # in waitress, a client on a Unix socket
        return True
    if text.count(":") == 1:
        text = text.partition(":")[0]  # IPv4 with a port
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in _LOCAL)


def _is_authorized(request: Any, health: HealthRegistry) -> bool:
    if request.registry.queryUtility(ISecurityPolicy) is None:
        # Without a policy Pyramid permits everything.
        health.warn_once(
            "policy",
            "health details are hidden: combine_health.details is authorized, but the application has"
            " no security policy. Set one, or send the token",
        )
        return False
    if isinstance(request, EarlyRequest):
        if request.may_see_details is None:
            raise MustAskApplication
        return request.may_see_details
    principals = health.settings.details_principals
    try:
        if principals:
            return not _principals_of(request).isdisjoint(principals)
        return bool(request.has_permission(PERMISSION, _root_of(request)))
    except Exception as error:  # noqa: BLE001 - logged
        log_undecided(health, error)
        return False


def log_undecided(health: HealthRegistry, error: Exception) -> None:
    """Log the error that kept the application from deciding, such as one of its database."""
    # Without the traceback, which may contain secrets.
    log.error(
        "health details are hidden: the application cannot check the permission %s: %s. To decide by a"
        " principal, set combine_health.details_principals",
        PERMISSION,
        health.redactor.text(describe(error)),
    )


def _root_of(request: Any) -> Any:
    """Return the application's root, whose ACL applies instead of that of the endpoint's context."""
    factory = request.registry.queryUtility(IRootFactory, default=DefaultRootFactory)
    return factory(request)


def _principals_of(request: Any) -> set[str]:
    # Kinto has several policies and prefixes user ids with the policy's name: "account:admin".
    prefixed = getattr(request, "prefixed_principals", None)
    if prefixed is not None:
        return set(prefixed)
    registry = request.registry
    policy: Any = registry.getUtility(ISecurityPolicy)
    userid = policy.authenticated_userid(request)
    authentication: Any = registry.queryUtility(IAuthenticationPolicy)  # before Pyramid 2
    principals = getattr(authentication or policy, "effective_principals", None)
    return {userid, *(principals(request) if principals else ())} - {None}
