"""Where a server listens: from ini and environment, bound early; who holds a taken port."""

import errno
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path

from combine_health.engine.redaction import Redactor

DEFAULT_LISTEN = "127.0.0.1"
DEFAULT_PORT = 8000
_LISTENING = "0A"  # the state LISTEN in /proc/net/tcp, see proc_pid_net(5)


class PortError(Exception):
    """The server cannot listen where it was told to; the message says why and what to do."""


def addresses(
    ini: Mapping[str, str], environ: Mapping[str, str], *, default: str = DEFAULT_LISTEN
) -> list[str]:
    """The ``host:port`` pairs to listen on.

    ``LISTEN`` wins over the ini's ``listen`` or ``host``; ``PORT`` wins over every port of the ini
    and stands wherever ``LISTEN`` names none. Raises `PortError` for an unusable value.
    """
    port_variable = environ.get("PORT", "").strip()
    port = _port(port_variable, "PORT") if port_variable else None
    listen_variable = environ.get("LISTEN", "").split()
    if listen_variable:
        fallback = port if port is not None else _port(str(ini.get("port", DEFAULT_PORT)), "port")
        return [_pair(entry, "LISTEN", fallback, None) for entry in listen_variable]
    fallback = _port(str(ini.get("port", DEFAULT_PORT)), "port")
    entries = str(ini.get("listen") or ini.get("host") or default).split()
    return [_pair(entry, "listen", fallback, port) for entry in entries]


def _pair(entry: str, where: str, fallback: int, forced: int | None) -> str:
    match = re.fullmatch(r"(?P<host>\[[^\]]+\]|[^:]+)(:(?P<port>[^:]*))?", entry)
    if match is None and _is_ipv6(entry):
        match = re.fullmatch(r"(?P<host>.+)(?P<port>)", f"[{entry}]")
    if match is None:
        raise PortError(f"{where} is {entry!r}: write host:port, such as 127.0.0.1:8000")
    port = forced
    if port is None:
        port = _port(match["port"], where) if match["port"] else fallback
    return f"{match['host']}:{port}"


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _port(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise PortError(
            f"{where} is {text!r}: write a number from 1 to 65535, without quotes (0 takes any free"
            " port)"
        )
    return int(text)


def listen_on(
    places: list[tuple[int, int, int, tuple[str, int]]], backlog: int, another: Callable[[int], str]
) -> list[socket.socket]:
    """Bind and listen on every place (family, type, protocol, address).

    ``another(port)`` is the command for another port. Raises `PortError` for the first that is not
    to be had; nothing stays bound then.
    """
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, address in places:
            sockets.append(_listen(family, kind, protocol, address, backlog))
    except OSError as error:
        for one in sockets:
            one.close()
        raise PortError(_explain(error, address[0], address[1], another)) from error
    return sockets


def _listen(
    family: int, kind: int, protocol: int, address: tuple[str, int], backlog: int
) -> socket.socket:
    one = socket.socket(family, kind, protocol)
    try:
        # As waitress: a port in TIME_WAIT is free, one that somebody listens on is not.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        one.listen(backlog)
    except OSError:
        one.close()
        raise
    return one


def _explain(error: OSError, host: str, port: int, another: Callable[[int], str]) -> str:
    if error.errno == errno.EADDRINUSE:
        free = another(free_port(host, port))
        return f"port {port} on {host} is taken by {holder(port)}.\nFor another port: {free}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        free = another(free_port(host, max(port, 8000)))
        return (
            f"port {port} on {host} may not be opened by this user (ports below 1024 are for root)."
            f"\nFor another port: {free}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: mend listen in the ini file, or LISTEN"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"


def free_port(host: str, taken: int) -> int:
    """A port on ``host`` that nobody listens on now, near ``taken`` if there is one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in [*range(taken + 1, min(taken + 50, 65536)), 0]:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen(1)
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    return 0


def holder(port: int) -> str:
    """Who listens on the TCP port, in words: command and process id where they may be read."""
    inodes: dict[str, int] = dict(_listeners(port))
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for process in _processes():
        if not sockets.isdisjoint(_open_files(process)):
            return f"{_command(process)} (process {process.name})"
    for uid in inodes.values():
        return f"a process of the user {_user(uid)} (sudo ss -ltnp 'sport = :{port}' names it)"
    return "another process"


def _listeners(port: int) -> Iterator[tuple[str, int]]:
    """The inode and user id of each socket that listens on ``port``."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:  # not Linux, or IPv6 is off
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9], int(fields[7])


def _processes() -> Iterator[Path]:
    proc = Path("/proc")
    if proc.is_dir():
        yield from (entry for entry in proc.iterdir() if entry.name.isdigit())


def _open_files(process: Path) -> Iterator[str]:
    try:
        links = list((process / "fd").iterdir())
    except OSError:  # another user's process, or one that has just ended
        return
    for link in links:
        with suppress(OSError):  # closed in the meantime
            yield str(link.readlink())


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "another process"
    return Redactor().text(" ".join(filter(None, words)), 160) or "another process"


def _user(uid: int) -> str:
    import pwd  # not on Windows

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
