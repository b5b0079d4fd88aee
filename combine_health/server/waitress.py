"""The server for ini files: waitress with a health lane, a bounded queue and a graceful end.

::

    [server:main]
    use = egg:pyramid-combine#waitress
    listen = 127.0.0.1:8000

It answers the probes on its I/O thread, so they are answered even while every worker thread is busy
or stuck. On SIGTERM, SIGHUP or SIGQUIT it reports that it is draining, keeps serving for a while,
finishes the requests that have begun, and ends. It ignores SIGUSR1 and SIGUSR2.

It takes every key of waitress (``threads``, ``channel_timeout``, ``trusted_proxy``, ...) and these:

``drain_seconds``  5: how long it keeps serving, not ready, after SIGTERM
``stop_timeout``   30: how long requests in flight may take after that
``queue_limit``    how many requests may wait for a worker thread (default: 100 per thread); the
                   server answers further ones with 503 at once
``bodies_limit``   how many bytes of request bodies it may hold at once (default: a quarter of the
                   memory); a request beyond them gets 503
``port_hint``      the command that starts it on another port; ``{port}`` stands for the port
``banner``         further lines to print at the start; ``{url}`` stands for the application's URL
``trusted_proxy``  as in waitress, but it may list several addresses, networks and names. Without
                   ``trusted_proxy_headers`` it accepts X-Forwarded-For, -Host and -Proto

Pyramid's ini files have no interpolation. Therefore the variables ``PORT`` and ``LISTEN`` (``host``
or ``host:port``, several separated by spaces) override the ini, as do
``COMBINE_HEALTH_DRAIN_SECONDS`` and its like. They are looked for in the environment, then in the
``.env`` beside the ini file.
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
CONNECTIONS = 20_000  # with waitress' own limit of 100, probes would be refused
NO_HEALTH = (
    "no health add-on is found in the application: this server answers no probes, and at its end"
    " nothing reports that it drains. Write combine_health in pyramid.includes. Around the"
    " application, only filters that keep it as .app or .application are followed, and Paste's urlmap."
)
PROXY_HEADERS = "x-forwarded-for x-forwarded-host x-forwarded-proto"


def server_factory(global_conf: Mapping[str, str], **ini: str) -> Callable[[Any], None]:
    """A ``paste.server_factory``. It binds the port before the application is loaded.

    So a taken port is reported at once, and a SIGTERM during a slow start ends the process cleanly.
    Returns the function that serves an application until SIGTERM or SIGINT. Raises `SystemExit`.
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
        # The running server handles both signals; one may come just before.
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
            reason = f"cannot listen on {passed.get('listen')!r}: no such host"
        raise StartError(f"{reason} (section [server:main] of the ini file)") from None
