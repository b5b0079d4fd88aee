"""Defines the server for ini files: waitress with a health lane, a queue limit and graceful drain.

::

    [server:main]
    use = egg:pyramid-combine#waitress
    listen = 127.0.0.1:8000

The server answers probes on its I/O thread, even while every worker thread is busy or stuck. On
SIGTERM, SIGHUP or SIGQUIT it reports that it is draining, keeps serving for a while, finishes its
requests, and shuts down. It ignores SIGUSR1 and SIGUSR2.

It accepts every setting of waitress (``threads``, ``channel_timeout``, ``trusted_proxy``, ...), those of
`combine_health.declarations.ServerSettings`, and these:

``port_hint``      the command that starts it on another port; ``{port}`` is replaced by the port
``banner``         further lines to print at the start; ``{url}`` is replaced by the application's URL
``trusted_proxy``  as in waitress, but it may list several addresses, networks and names. Without
                   ``trusted_proxy_headers`` it accepts X-Forwarded-For, -Host and -Proto

Pyramid's ini files have no interpolation. Therefore the variables ``PORT`` and ``LISTEN`` (``host``
or ``host:port``, several separated by spaces) override the ini file, as do
``COMBINE_HEALTH_DRAIN_SECONDS`` and the other variables. The server reads them from the environment,
then from the ``.env`` next to the ini file.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from combine_health.environment_error import HealthEnvironmentError
from combine_health.server.drain import exit_on_signals
from combine_health.server.listening import (
    StartError,
    addresses,
    announce,
    listen_on,
    reserve_descriptors,
    variables,
)
from combine_health.settings import read_server

log = logging.getLogger("combine_health")

OWN_KEYS = (
    "port_hint",
    "banner",
    "drain_seconds",
    "stop_timeout",
    "queue_limit",
    "bodies_limit",
)
CONNECTIONS = 20_000  # at the default limit of waitress, 100, the server would reject probes
NO_HEALTH = (
    "no health add-on is found in the application: this server answers no probes and cannot report"
    " that it is draining. Add combine_health to pyramid.includes. The server looks for the application"
    " only in filters that have it as .app or .application, and in Paste's urlmap."
)
PROXY_HEADERS = "x-forwarded-for x-forwarded-host x-forwarded-proto"


def server_factory(global_conf: Mapping[str, str], **ini: str) -> Callable[[Any], None]:
    """Bind the port, and return a function that serves an application until SIGTERM or SIGINT.

    This is a ``paste.server_factory``. It runs before the application is loaded, so that a port in use
    is reported at once, and a SIGTERM during a slow start ends the process cleanly. Raises `SystemExit`.
    """
    try:
        return _prepare(global_conf, ini)
    except StartError as error:
        raise SystemExit(f"Cannot start the server: {error}") from None


def _prepare(global_conf: Mapping[str, str], ini: Mapping[str, str]) -> Callable[[Any], None]:
    try:
        from combine_health.server.server import Server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "waitress":
            raise
        raise StartError(
            "waitress is missing. Install it: pip install '.[core]' in the checkout, or"
            " pip install 'WHEEL[core]' with the path of the wheel"
        ) from None
    path = Path(global_conf.get("__file__", "production.ini"))
    environ = variables(path.parent)
    try:
        own = read_server(ini, environ)
    except HealthEnvironmentError as error:
        raise StartError(f"{error} (section [server:main] of the ini file)") from None
    passed: dict[str, Any] = {key: value for key, value in ini.items() if key not in OWN_KEYS}
    if own["trusted_proxy"]:
        passed["trusted_proxy"] = " ".join(own["trusted_proxy"])
        passed.setdefault("trusted_proxy_headers", PROXY_HEADERS)
    passed.setdefault("connection_limit", str(reserve_descriptors(CONNECTIONS)))
    if "unix_socket" in passed or "sockets" in passed:
        _adjust(**passed)
    else:
        places = addresses(passed, environ)
        passed = {k: v for k, v in passed.items() if k not in {"host", "port", "listen"}}
        adj = _adjust(listen=" ".join(places), **passed)
        hint = ini.get("port_hint") or f"PORT={{port}} pserve {path.name}"
        passed["sockets"] = listen_on(
            adj.listen, adj.backlog, lambda port: hint.replace("{port}", str(port))
        )
    exit_on_signals()

    def serve(app: Any) -> None:
        server = Server(app, passed, own)
        if not server.mounts:
            log.warning("%s", NO_HEALTH)
        # The running server handles both signals, but one may arrive before it runs.
        with suppress(SystemExit, KeyboardInterrupt):
            announce(server.listening, ini.get("banner", ""), server.mounts)
            server.run()

    return serve


def _adjust(**passed: Any) -> Any:
    from waitress.adjustments import Adjustments

    try:
        return Adjustments(**passed)
    except ValueError as error:
        reason = str(error)
        if reason == "Invalid host/port specified.":
            reason = f"cannot listen on {passed.get('listen')!r}: the host does not resolve"
        raise StartError(f"{reason} (section [server:main] of the ini file)") from None
