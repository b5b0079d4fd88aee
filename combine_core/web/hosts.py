"""Rejects requests for a host name that is not one of the service's own (400).

A request with a forged host could make links and redirects point to another site. A site whose name
resolves to this machine (DNS rebinding) could use the service from a visitor's browser. The hosts of
PUBLIC_URL and ALLOWED_ORIGINS are accepted at any port, because a proxy may listen at another one.
``X-Forwarded-Host`` and ``Forwarded`` count only if the server accepted them from a trusted proxy. Probes
and scrapes address the machine by its IP address, so they are not checked.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from combine_core.settings import CoreSettings, Environment
from combine_core.settings.values import host_of, is_loopback
from combine_core.web.paths import is_probe

logger = logging.getLogger(__name__)

TWEEN = f"{__name__}.hosts_tween_factory"
_HOSTS = "combine_core.web.hosts"
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:(?P<port>[0-9]{0,5}))?")

Handler = Callable[["Request"], "Response"]


def host_and_port(environ: dict[str, Any]) -> tuple[str, str]:
    """Return the host name and the port of a request. Each is empty if the request does not have it."""
    found = _HOST.fullmatch(environ.get("HTTP_HOST") or environ.get("SERVER_NAME", ""))
    if found is None:
        return "", ""
    return found["name"].strip("[]").lower().removesuffix("."), found["port"] or ""


class KnownHosts:
    """The host names of this service.

    :param origins: the origins of the service
    :param local: whether the names of this machine are accepted too
    """

    def __init__(self, origins: Iterable[str], *, local: bool) -> None:
        self._names = frozenset(host_of(origin) for origin in origins)
        # A service at localhost may be opened as 127.0.0.1: it is the same machine.
        self._loopback = local or any(is_loopback(name) for name in self._names)
        self._local = local

    def knows(self, environ: dict[str, Any]) -> bool:
        """Return whether the host of this WSGI environment is one of the service's own."""
        name, _ = host_and_port(environ)
        if not name:
            return False
        if name in self._names or (self._loopback and is_loopback(name)):
            return True
        # On a developer's machine, the address on which the server listens.
        return self._local and name == environ.get("SERVER_NAME", "").lower()


def hosts_of(registry: Registry) -> KnownHosts:
    found: KnownHosts = registry[_HOSTS]
    return found


def hosts_tween_factory(handler: Handler, registry: Registry) -> Handler:
    hosts = hosts_of(registry)

    def hosts_tween(request: Request) -> Response:
        if not hosts.knows(request.environ) and not is_probe(request):
            logger.info(
                "Rejected a request for the unknown host %.200r", request.environ.get("HTTP_HOST")
            )
            raise HTTPBadRequest(
                "The Host header does not name this service. Use the address of the service. If this"
                " address is correct, ask the operator to add it to ALLOWED_ORIGINS."
            )
        return handler(request)

    return hosts_tween


def includeme(config: Configurator) -> None:
    """Read the host names from the settings. The add-on that includes this module adds the tween."""
    core = config.add_addon_settings(CoreSettings)
    local = core.environment in (Environment.DEVELOPMENT, Environment.TEST)
    config.registry[_HOSTS] = KnownHosts((core.public_url, *core.allowed_origins), local=local)
