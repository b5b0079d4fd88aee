"""The server of the ini files: waitress, with clear words when it cannot start.

::

    [server:main]
    use = egg:combine#waitress
    listen = 127.0.0.1:8000

It takes every key of waitress (``threads``, ``channel_timeout``, ``max_request_body_size``,
``trusted_proxy``, ...) and of its own:

``port_hint``  the command that starts it on another port; ``{port}`` stands for the port
``banner``     further lines to print once it listens; ``{url}`` stands for its URL

The ini has no interpolation, so the variables ``PORT`` and ``LISTEN`` (``host`` or ``host:port``,
several by spaces) win over it.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from .ports import PortError, addresses, listen_on
from .registry import IHealthRegistry

log = logging.getLogger("combine_health")

OWN_KEYS = ("port_hint", "banner")


class _RefusedToStart(Exception):
    """Ends the process with status 1 and without a traceback."""


def server_factory(global_conf: Mapping[str, str], **ini: str) -> Callable[[Any], None]:
    """A ``paste.server_factory``: takes the port before the application is loaded.

    So a taken port is named at once, and a SIGTERM during a long start is a clean end too. Returns
    the function that serves an application until SIGTERM or SIGINT. Raises `SystemExit`.
    """
    try:
        return _prepare(global_conf, ini)
    except PortError as error:
        raise SystemExit(f"Cannot start the server: {error}") from None


def serve_paste(app: Any, global_conf: Mapping[str, str], **ini: str) -> int:
    """A ``paste.server_runner``: serves ``app`` until SIGTERM or SIGINT, then returns 0."""
    try:
        serve = _prepare(global_conf, ini)
    except PortError as error:
        _refuse(f"Cannot start the server: {error}")
    serve(app)
    return 0


def _prepare(global_conf: Mapping[str, str], ini: Mapping[str, str]) -> Callable[[Any], None]:
    own = {key: ini.get(key, "") for key in OWN_KEYS}
    passed = {key: value for key, value in ini.items() if key not in OWN_KEYS}
    if "unix_socket" in passed or "sockets" in passed:
        _adjust(**passed)
        binding: dict[str, Any] = {}
    else:
        where = addresses(passed, os.environ)
        passed = {k: v for k, v in passed.items() if k not in {"host", "port", "listen"}}
        found = _adjust(listen=" ".join(where), **passed)
        hint = own["port_hint"] or _default_hint(global_conf)
        binding = {
            "sockets": listen_on(
                found.listen, found.backlog, lambda port: hint.replace("{port}", str(port))
            )
        }
    _end_on_sigterm()

    def serve(app: Any) -> None:
        registry = _registry_of(app)
        from waitress.server import create_server

        server = create_server(app, **passed, **binding)
        if registry is not None:
            registry.getUtility(IHealthRegistry).runner.start()
        # waitress handles both once it runs; a signal may come in the moment before.
        with suppress(SystemExit, KeyboardInterrupt):
            _announce(server, own["banner"], with_health=registry is not None)
            server.run()

    return serve


def _adjust(**passed: Any) -> Any:
    try:
        from waitress.adjustments import Adjustments
    except ImportError:
        raise PortError("waitress is missing; install it: pip install 'combine[core]'") from None
    try:
        return Adjustments(**passed)
    except ValueError as error:
        what = str(error)
        if what == "Invalid host/port specified.":
            what = f"cannot listen on {passed.get('listen')!r}: no such host"
        raise PortError(f"{what} (section [server:main] of the ini file)") from None


def _default_hint(global_conf: Mapping[str, str]) -> str:
    ini = Path(global_conf.get("__file__", "production.ini")).name
    return f"PORT={{port}} pserve {ini}"


def _end_on_sigterm() -> None:
    """SIGTERM ends the server as SIGINT does: waitress finishes what is in its threads."""
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may, and it belongs to somebody else

    def end(_number: int, _frame: Any) -> NoReturn:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)


def _registry_of(app: Any) -> Any | None:
    """The Pyramid application's registry, if it has the health add-on; found through filters."""
    seen = 0
    while app is not None and seen < 20:
        registry: Any = getattr(app, "registry", None)
        if hasattr(registry, "queryUtility"):
            return registry if registry.queryUtility(IHealthRegistry) is not None else None
        app = next(
            (
                inner
                for name in ("app", "application", "wsgi_app", "_app")
                if callable(inner := getattr(app, name, None))
            ),
            None,
        )
        seen += 1
    return None


def _announce(server: Any, banner: str, *, with_health: bool) -> None:
    pairs = getattr(server, "effective_listen", None)
    if pairs is None:
        pairs = [(server.effective_host, server.effective_port)]
    urls = list(dict.fromkeys(_url(str(host), str(port)) for host, port in pairs))
    lines = [f"Serving on {url}" for url in urls]
    if with_health and urls[0].startswith("http"):
        lines += [f"  {urls[0]}{path}" for path in ("/health", "/health/ready", "/health/detailed")]
    lines += [line.replace("{url}", urls[0]) for line in banner.strip().splitlines()]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    log.info("serving on %s", ", ".join(urls))


def _url(host: str, port: str) -> str:
    if host == "unix":  # waitress gives the path as the port
        return f"unix:{port}"
    if host in {"0.0.0.0", "::", "127.0.0.1", "::1"}:  # noqa: S104 - shown, not bound
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refuse(message: str) -> NoReturn:
    """End with status 1 and only ``message`` on stderr.

    pserve swallows `SystemExit` around a server runner and ends with 0, so it has to be another
    exception; the hook keeps its traceback away.
    """
    before = sys.excepthook

    def hook(kind: Any, error: Any, trace: Any) -> None:
        if kind is _RefusedToStart:
            sys.stderr.write(f"{error}\n")
        else:
            before(kind, error, trace)

    sys.excepthook = hook
    raise _RefusedToStart(message)
