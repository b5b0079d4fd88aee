"""Determines the addresses of the server, binds them, and prints them for the operator.

The ports are bound before the application is loaded, so that a port in use is reported at once.
"""

import errno
import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path

from combine_health.engine.redaction import Redactor
from combine_health.server.mounts import Mount

log = logging.getLogger("combine_health")

DEFAULT_LISTEN = "127.0.0.1"
DEFAULT_PORT = 8000
ENDPOINTS = ("/health", "/health/ready", "/health/detailed")  # printed at the start
RESERVED_FILES = 256  # descriptors for files, pools and plugins


class StartError(Exception):
    """The server cannot start; the message gives the reason and the remedy."""


def variables(folder: Path) -> dict[str, str]:
    """Return the environment, completed with the variables of the ``.env`` in ``folder``.

    Without python-dotenv, the ``.env`` is ignored. The application reports errors in it.
    """
    found: dict[str, str | None] = {}
    path = folder / ".env"
    if path.is_file():
        # UnicodeDecodeError is a ValueError.
        with suppress(ModuleNotFoundError, OSError, ValueError):
            from dotenv import dotenv_values

            found = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    both = (*found.items(), *((name, value) for name, value in os.environ.items() if value))
    return {name: value for name, value in both if value}


def addresses(ini: Mapping[str, str], environ: Mapping[str, str]) -> list[str]:
    """Return the ``host:port`` pairs to listen on.

    ``LISTEN`` takes precedence over ``listen`` or ``host`` of the ini file. ``PORT`` takes precedence
    over every port of the ini file and completes the entries of ``LISTEN`` without a port. Raises
    `StartError` for an invalid value.
    """
    fallback = _port(str(ini.get("port", DEFAULT_PORT)), "port")
    forced = None
    if port_variable := environ.get("PORT", "").strip():
        fallback = forced = _port(port_variable, "PORT")
    if entries := environ.get("LISTEN", "").split():
        return [_pair(entry, "LISTEN", fallback) for entry in entries]
    entries = str(ini.get("listen") or ini.get("host") or DEFAULT_LISTEN).split()
    return [_pair(entry, "listen", fallback, forced) for entry in entries]


def _pair(entry: str, setting: str, fallback: int, forced: int | None = None) -> str:
    match = re.fullmatch(r"(?P<host>\[[^\]]+\]|[^:]+)(:(?P<port>[^:]*))?", entry)
    if match is None and _is_ipv6(entry):
        match = re.fullmatch(r"(?P<host>.+)(?P<port>)", f"[{entry}]")
    if match is None:
        raise StartError(f"{setting} is {entry!r}: write host:port, such as 127.0.0.1:8000")
    port = forced
    if port is None:
        port = _port(match["port"], setting) if match["port"] else fallback
    return f"{match['host']}:{port}"


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _port(text: str, setting: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise StartError(
            f"{setting} is {text!r}: write a number from 1 to 65535, without quotes (0 takes any"
            " free port)"
        )
    return int(text)


def listen_on(
    places: list[tuple[int, int, int, tuple[str, int]]],
    backlog: int,
    command_for: Callable[[int], str],
) -> list[socket.socket]:
    """Bind and listen on every place (family, type, protocol, address).

    ``command_for(port)`` returns the command that starts the server on another port, for the message
    about a port in use. Raises `StartError` for the first place that fails, and closes the others.
    """
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, address in places:
            sockets.append(_listen(family, kind, protocol, address, backlog))
    except OSError as error:
        for bound in sockets:
            bound.close()
        raise StartError(_explain(error, address[0], address[1], command_for)) from error
    return sockets


def _listen(
    family: int, kind: int, protocol: int, address: tuple[str, int], backlog: int
) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        # As in waitress: a port in TIME_WAIT is free, one with a listener is not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def _explain(error: OSError, host: str, port: int, command_for: Callable[[int], str]) -> str:
    if error.errno == errno.EADDRINUSE:
        command = command_for(free_port(host, port))
        return f"port {port} on {host} is taken by {describe_holder(port)}. For another port: {command}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        command = command_for(free_port(host, max(port, 8000)))
        return (
            f"this user may not open port {port} on {host} (ports below 1024 are for root)."
            f" For another port: {command}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine: correct listen in the ini, or LISTEN"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"


def free_port(host: str, taken: int) -> int:
    """Return a free port on ``host``, close to ``taken`` if possible, or 0 if there is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in [*range(taken + 1, min(taken + 50, 65536)), 0]:
        with socket.socket(family, socket.SOCK_STREAM) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((host, port))
                attempt.listen(1)
            except OSError:
                continue
            found: int = attempt.getsockname()[1]
            return found
    return 0


def describe_holder(port: int) -> str:
    """Describe the process that listens on the TCP port, with command and process id if available."""
    with suppress(ImportError, OSError):
        import psutil

        with suppress(psutil.Error):  # no permission, or the process has just ended
            for bound in psutil.net_connections("tcp"):
                if bound.pid and bound.status == psutil.CONN_LISTEN and bound.laddr[1:] == (port,):
                    command = " ".join(psutil.Process(bound.pid).cmdline())
                    shown = Redactor().text(command, 160) or "another process"
                    return f"{shown} (process {bound.pid})"
    return f"another process (sudo ss -ltnp 'sport = :{port}' names it)"


def reserve_descriptors(connections: int) -> int:
    """Raise the soft limit of open files for ``connections``, and return the number that it allows.

    A server at the limit cannot accept connections or open log files.
    """
    try:
        import resource
    except ImportError:  # not on Windows
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    wanted = connections + RESERVED_FILES
    if soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # a sandbox may forbid it; then the soft limit stays
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    if soft >= wanted:
        return connections
    fitting = max(soft // 4, soft - RESERVED_FILES)
    log.info("the server accepts %d connections: the limit of open files is %d", fitting, soft)
    return fitting


def announce(listening: Iterable[tuple[str, str]], banner: str, mounts: Sequence[Mount]) -> None:
    """Print the addresses (host, port), the health endpoints, and the lines of ``banner``.

    ``{url}`` in the banner is replaced by the URL of the first application in ``mounts``.
    """
    urls = list(dict.fromkeys(_url(host, port) for host, port in listening))
    lines = [f"Serving on {url}" for url in urls]
    if urls[0].startswith("http"):
        lines += [f"  {urls[0]}{mount.prefix}{path}" for mount in mounts for path in ENDPOINTS]
    url = urls[0] + (mounts[0].path if mounts else "")
    lines += [line.replace("{url}", url) for line in banner.strip().splitlines()]
    try:
        if sys.stdout is not None:  # None if it was closed before the start
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()
    except OSError as error:  # a full disk must not stop the server
        log.warning("cannot print the addresses of the service: %s", error)
    log.info("serving on %s", ", ".join(urls))


def _url(host: str, port: str) -> str:
    if host == "unix":  # waitress passes the path as the port
        return f"unix:{port}"
    # "localhost" may resolve to 127.0.0.1 alone, which is unreachable with LISTEN=[::].
    host = {"0.0.0.0": "localhost", "127.0.0.1": "localhost", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
