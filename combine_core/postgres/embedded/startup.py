"""Starts the server, whatever state it was left in, and manages its log and its port."""

from __future__ import annotations

import logging
import random
import socket
from dataclasses import dataclass
from pathlib import Path

from combine_core.postgres.embedded import binaries, cluster, locks, server
from combine_core.postgres.embedded.data_folder import DataFolder
from combine_core.postgres.embedded.locks import Deadline, EmbeddedPostgresError, FileLock
from combine_core.postgres.embedded.server import Server

logger = logging.getLogger(__package__)

# Below the ports that systems use for outgoing connections, which could take the port in the meantime.
_PORTS = range(20_000, 32_000)

# The processes of a dead server have this long to end by themselves.
_ORPHANS_SECONDS = 2.0

# Messages of PostgreSQL while a former server has not ended completely. A retry helps.
_TEMPORARY = ('lock file "postmaster.pid"', "pre-existing shared memory block")
_PORT_TAKEN = "could not create any TCP/IP sockets"


_TOO_LARGE = 10_000_000
_KEPT = 1_000_000
_LINES_SHOWN = 20


class ServerLog:
    """The server's log file at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def trim(self) -> None:
        """Truncate a file of more than 10 MB to its last MB. Call this only while no server runs."""
        if self.size() > _TOO_LARGE:
            self.path.write_bytes(self.since(self.size() - _KEPT))

    def size(self) -> int:
        """Return the size in bytes, which serves as a mark for :meth:`tail`."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def since(self, mark: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(mark)
                return file.read()
        except FileNotFoundError:
            return b""

    def tail(self, mark: int) -> str:
        """Return the last lines after the mark."""
        lines = self.since(mark).decode(errors="replace").splitlines()
        return "\n".join(lines[-_LINES_SHOWN:])


@dataclass(frozen=True)
class Site:
    """The state folder of a server, its cluster, and whether its data must survive a crash."""

    state: Path
    folder: DataFolder
    durable: bool

    @property
    def alive(self) -> Path:
        """The file that the server's processes keep locked while they live."""
        return self.state / "server.lock"

    @property
    def log(self) -> ServerLog:
        return ServerLog(self.state / "server.log")

    @property
    def port_file(self) -> Path:
        return self.state / "port"

    def last_port(self) -> int | None:
        try:
            return int(self.port_file.read_text())
        except (FileNotFoundError, ValueError):
            return None


def bring_up(
    site: Site, deciding: FileLock, deadline: Deadline, *, keep_port: int | None
) -> Server:
    """Find the running server or start one, and return it when it is ready.

    :param deciding: the lock for starting and stopping the server, which the caller holds
    :param keep_port: the required port; None selects the last port, or another if that is in use
    :raises EmbeddedPostgresError: PostgreSQL does not start; the message contains its last output
    """
    while True:
        running = settled(site, deadline)
        if running is not None:
            if server.wait_until_ready(running, cluster.read_password(site.folder), deadline):
                return running
            continue
        mark = site.log.size()
        launched, password = _launch(site, deciding, keep_port)
        if server.wait_until_ready(launched, password, deadline):
            return launched
        output = site.log.tail(mark)
        is_temporary = not output or any(text in output for text in _TEMPORARY)
        if _PORT_TAKEN in output and keep_port is None:
            site.port_file.unlink()
        elif deadline.is_over or not is_temporary:
            raise EmbeddedPostgresError(
                f"PostgreSQL does not start with the database in {site.folder.data}. It reports:\n"
                f"{output.replace(password, '***')}\n"
                f"Fix this error, or set DATABASE_URL. The whole log: {site.log.path}"
            )
        deadline.pause(0.1)


def settled(site: Site, deadline: Deadline) -> Server | None:
    """Return the running server, or None when every process of a former one has ended."""
    grace = Deadline(_ORPHANS_SECONDS)
    while True:
        running = server.find(site.folder.data)
        if running is not None or locks.is_free(site.alive):
            return running
        if deadline.is_over:
            raise EmbeddedPostgresError(
                f"Processes of a former PostgreSQL still use the database in {site.folder.data}."
                f" Find and end them: fuser -v '{site.alive}'"
            )
        if grace.is_over:
            server.end_orphans(site.folder.data)
            grace = Deadline(_ORPHANS_SECONDS)
        deadline.pause()


def _launch(site: Site, deciding: FileLock, keep_port: int | None) -> tuple[Server, str]:
    folder = site.folder
    version = cluster.major_version(folder)
    programs = binaries.choose(folder.account, folder.path, version)
    if version is None:
        cluster.make_cluster(folder, programs, deciding, durable=site.durable)
    password = cluster.read_password(folder)
    site.log.trim()
    port = keep_port or _choose_port(site)
    logger.info("starting %s on port %d for %s", programs, port, folder.data)
    launched = server.launch(
        programs,
        folder.account,
        folder.data,
        port=port,
        log=site.log.path,
        alive=site.alive,
        durable=site.durable,
    )
    return launched, password


def _choose_port(site: Site) -> int:
    """Choose the port of the last start, or a new one if that is in use, and store the choice."""
    last = site.last_port()
    if last is not None and _is_free(last):
        return last
    port = next(port for port in random.sample(_PORTS, len(_PORTS)) if _is_free(port))
    if last is not None:
        logger.warning("Port %d is in use by another program; the database uses %d.", last, port)
    site.port_file.write_text(f"{port}\n")
    return port


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Like PostgreSQL: connections that have just ended do not block a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.HOST, port))
        except OSError:
            return False
        return True
