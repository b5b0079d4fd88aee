"""Brings the server up, whatever state its last end left behind."""

from __future__ import annotations

import logging
import random
import socket
from dataclasses import dataclass
from pathlib import Path

from combine_core.postgres.embedded import binaries, cluster, locks, server
from combine_core.postgres.embedded.errors import EmbeddedPostgresError
from combine_core.postgres.embedded.home import Home
from combine_core.postgres.embedded.locks import FileLock
from combine_core.postgres.embedded.log import ServerLog
from combine_core.postgres.embedded.patience import Patience
from combine_core.postgres.embedded.server import Server

logger = logging.getLogger(__package__)

# Below the ports that systems hand out for outgoing connections, which could take it meanwhile.
_PORTS = range(20_000, 32_000)

# How long the processes of a dead server may take to notice its end before they are ended.
_ORPHANS_SECONDS = 2.0

# What PostgreSQL says while something of a former server is still there: it passes.
_PASSING = ('lock file "postmaster.pid"', "pre-existing shared memory block")
_PORT_TAKEN = "could not create any TCP/IP sockets"


@dataclass(frozen=True)
class Site:
    """One server's state folder, its cluster, and whether its data must survive a crash."""

    state: Path
    home: Home
    durable: bool

    @property
    def alive(self) -> Path:
        """The server's processes hold a lock on it while they live."""
        return self.state / "server.lock"

    @property
    def log(self) -> ServerLog:
        """What the server wrote."""
        return ServerLog(self.state / "server.log")

    @property
    def port_file(self) -> Path:
        """Holds the port of the last start."""
        return self.state / "port"

    def last_port(self) -> int | None:
        """The port of the last start; None if there was none."""
        try:
            return int(self.port_file.read_text())
        except (FileNotFoundError, ValueError):
            return None


def bring_up(
    site: Site, deciding: FileLock, patience: Patience, *, keep_port: int | None
) -> Server:
    """Find the running server, or start one; return it when it is ready.

    :param deciding: the lock of whoever may start or stop the server, which the caller holds
    :param keep_port: the port that it must have; None takes the last one, or another if it is taken
    """
    while True:
        running = settled(site, patience)
        if running is not None:
            if server.wait_until_ready(running, cluster.read_password(site.home), patience):
                return running
            continue
        mark = site.log.size()
        launched, password = _launch(site, deciding, keep_port)
        if server.wait_until_ready(launched, password, patience):
            return launched
        said = site.log.tail(mark)
        passes = not said or any(text in said for text in _PASSING)
        if _PORT_TAKEN in said and keep_port is None:
            site.port_file.unlink()
        elif patience.is_over or not passes:
            raise EmbeddedPostgresError(
                f"PostgreSQL does not start with the database in {site.home.data}. It says:\n"
                f"{said.replace(password, '***')}\n"
                f"Mend what it names, or set DATABASE_URL. The whole log: {site.log.path}"
            )
        patience.pause(0.1)


def settled(site: Site, patience: Patience) -> Server | None:
    """The running server; None once every process of a former one is gone."""
    bearable = Patience(_ORPHANS_SECONDS)
    while True:
        running = server.find(site.home.data)
        if running is not None or locks.is_free(site.alive):
            return running
        if patience.is_over:
            raise EmbeddedPostgresError(
                f"Processes of a former PostgreSQL still use the database in {site.home.data}."
                f" Find and end them: fuser -v '{site.alive}'"
            )
        if bearable.is_over:
            server.end_orphans(site.home.data)
            bearable = Patience(_ORPHANS_SECONDS)
        patience.pause()


def _launch(site: Site, deciding: FileLock, keep_port: int | None) -> tuple[Server, str]:
    home = site.home
    version = cluster.major_version(home)
    programs = binaries.choose(home.account, home.folder, version)
    if version is None:
        cluster.make_cluster(home, programs, deciding, durable=site.durable)
    password = cluster.read_password(home)
    site.log.trim()
    port = keep_port or _choose_port(site)
    logger.info("starting %s on port %d for %s", programs, port, home.data)
    launched = server.launch(
        programs,
        home.account,
        home.data,
        port=port,
        log=site.log.path,
        alive=site.alive,
        durable=site.durable,
    )
    return launched, password


def _choose_port(site: Site) -> int:
    """The port of the last start, or another where that is taken; remembered for the next time."""
    last = site.last_port()
    if last is not None and _is_free(last):
        return last
    port = next(port for port in random.sample(_PORTS, len(_PORTS)) if _is_free(port))
    if last is not None:
        logger.warning("port %d is taken by another program; the database moves to %d", last, port)
    site.port_file.write_text(f"{port}\n")
    return port


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As PostgreSQL does: connections that have only just ended do not keep a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.HOST, port))
        except OSError:
            return False
        return True
