"""What the server says on the terminal when it listens, and when it cannot start."""

import logging
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

log = logging.getLogger("combine_health")

ENDPOINTS = ("/health", "/health/ready", "/health/detailed")


class _RefusedToStart(Exception):
    """Ends the process with status 1 and without a traceback."""


def announce(listening: Iterable[tuple[str, str]], banner: str, prefix: str | None) -> None:
    """Print where it listens (host, port) and the lines of ``banner``, with ``{url}`` filled in.

    ``prefix`` stands before the paths of the health endpoints; ``None``: there are none.
    """
    urls = list(dict.fromkeys(_url(host, port) for host, port in listening))
    lines = [f"Serving on {url}" for url in urls]
    if prefix is not None and urls[0].startswith("http"):
        lines += [f"  {urls[0]}{prefix}{path}" for path in ENDPOINTS]
    lines += [line.replace("{url}", urls[0]) for line in banner.strip().splitlines()]
    try:
        if sys.stdout is not None:  # closed before we started
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()
    except OSError as error:  # the disk may be full, and that is no reason not to serve
        log.warning("cannot print where the service listens: %s", error)
    log.info("serving on %s", ", ".join(urls))


def _url(host: str, port: str) -> str:
    if host == "unix":  # waitress gives the path as the port
        return f"unix:{port}"
    if host in {"0.0.0.0", "::", "127.0.0.1", "::1"}:  # noqa: S104 - shown, not bound
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def command_for(global_conf: Mapping[str, str]) -> str:
    """The command that starts the server on the port ``{port}``."""
    ini = Path(global_conf.get("__file__", "production.ini")).name
    return f"PORT={{port}} pserve {ini}"


def refuse(message: str) -> NoReturn:
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
