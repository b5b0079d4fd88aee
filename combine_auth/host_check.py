"""Requests for a host that is not this service's are refused: 400.

Whoever can make the service believe another name could have links and redirects point there, and a
foreign site that has its own name point at this machine (DNS rebinding) could speak with it from a
visitor's browser. Known are the hosts of PUBLIC_URL and ALLOWED_ORIGINS, at any port, for a proxy may
listen at another one. ``X-Forwarded-Host`` and ``Forwarded`` count only where the server has taken
them from a trusted proxy. Probes and scrapes come by address, and are left alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPBadRequest
from pyramid.tweens import EXCVIEW, MAIN

from combine_core.settings import CoreSettings, Environment
from combine_core.settings.values import host_of, is_loopback

if TYPE_CHECKING:
    from pyramid.config import Configurator
    from pyramid.registry import Registry

logger = logging.getLogger(__name__)

_HOSTS = "combine_auth.hosts"
# Of combine_core, if it is there: inside it, so that a program is answered in its own form.
_PROBLEMS = "combine_core.web.problems.problem_tween_factory"
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(:[0-9]{0,5})?")
_PROBES = re.compile(r"/(health(/.*)?|metrics)", re.DOTALL)

Handler = Callable[[Any], Any]


class KnownHosts:
    """The names of this service.

    :param origins: the addresses under which people reach it
    :param local: also the names of this machine itself
    """

    def __init__(self, origins: Iterable[str], *, local: bool) -> None:
        self._names = frozenset(host_of(origin) for origin in origins)
        # What is opened as localhost may be opened as 127.0.0.1: it is the same machine.
        self._loopback = local or any(is_loopback(name) for name in self._names)
        self._local = local

    def knows(self, environ: dict[str, Any]) -> bool:
        """Whether the request of this WSGI environment asks for this service."""
        found = _HOST.fullmatch(environ.get("HTTP_HOST") or environ.get("SERVER_NAME", ""))
        if found is None:
            return False
        name = found["name"].strip("[]").lower().removesuffix(".")
        if name in self._names or (self._loopback and is_loopback(name)):
            return True
        # On a developer's machine, the address that the server listens at.
        return self._local and name == environ.get("SERVER_NAME", "").lower()


def hosts_of(registry: Registry) -> KnownHosts:
    """The names of the service of this registry."""
    found: KnownHosts = registry[_HOSTS]
    return found


def hosts_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """The tween that refuses."""
    hosts = hosts_of(registry)

    def hosts_tween(request: Any) -> Any:
        environ = request.environ
        if not hosts.knows(environ) and not is_probe(environ):
            logger.info("A request for the unknown host %.200r", environ.get("HTTP_HOST"))
            message = (
                "This service does not go by the name in the header Host. Open it at its own"
                " address. If this is one, its operator adds it to ALLOWED_ORIGINS."
            )
            raise HTTPBadRequest(message)
        return handler(request)

    return hosts_tween


def is_probe(environ: dict[str, Any]) -> bool:
    """Whether a machine asks how the service is."""
    return _PROBES.fullmatch(environ.get("PATH_INFO", "")) is not None


def includeme(config: Configurator) -> None:
    """Look at the host of every request but the probes."""
    core = config.add_addon_settings(CoreSettings)
    local = core.environment in (Environment.DEVELOPMENT, Environment.TEST)
    config.registry[_HOSTS] = KnownHosts((core.public_url, *core.allowed_origins), local=local)
    config.add_tween(
        f"{__name__}.hosts_tween_factory",
        under=(_PROBLEMS, EXCVIEW),
        over=("combine_core.web.guard.guard_tween_factory", MAIN),
    )
