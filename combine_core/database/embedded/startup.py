"""Brings the server up, whatever state its last end left behind."""

from __future__ import annotations

import logging
import random
import socket
from dataclasses import dataclass
from pathlib import Path

from combine_core.database.embedded import binaries, cluster, locks, server
from combine_core.database.embedded.errors import EmbeddedPostgresError
from combine_core.database.embedded.home import Home
from combine_core.database.embedded.locks import FileLock
from combine_core.database.embedded.log import ServerLog
from combine_core.database.embedded.patience import Patience
from combine_core.database.embedded.server import Server

logger = logging.getLogger(__package__)

# Below the ports that systems hand out for outgoing connections, which could take it meanwhile.
_PORTS = range(20_000, 32_000)

_ORPHANS_SECONDS = 2.0

# What PostgreSQL says while something of a former server is still there: it passes.
_PASSING = ('lock file "postmaster.pid"', "pre-existing shared memory block")
_PORT_TAKEN = "could not create any TCP/IP sockets"


@dataclass(frozen=True)
class Site:
    """The files that the processes around one server share, in its state folder."""

    state: Path
    home: Home
    durable: bool

    @property
    def alive(self) -> Path:
        """The server's processes hold a lock on it while they live."""
        return self.state / "server.lock"

    @property
    def port(self) -> Path:
        """The port of the last start."""
        return self.state / "port"

    def last_port(self) -> int | None:
        """The port of the last start; None if there was none."""
        try:
            return int(self.port.read_text())
        except (FileNotFoundError, ValueError):
            return None

    @property
    def log(self) -> ServerLog:
        """What the server wrote."""
        return ServerLog(self.state / "server.log")


def bring_up(
    site: Site, deciding: FileLock, patience: Patience, *, keep_port: int | None
) -> Server:
    """Find the running server, or start one; return it when it is ready. For the holder of ``deciding``.

    :param keep_port: the port that it must have; None takes the last one if it is free, else another
    """
    while True:
        found = server.find(site.home.data)
        mark = site.log.size()
        if found is None:
            _wait_for_remnants(site, patience)
            found = _launch(site, deciding, keep_port)
        if server.wait_until_ready(found, cluster.read_password(site.home), patience):
            return found
        said = site.log.tail(mark)
        taken = _PORT_TAKEN in said and keep_port is None
        if patience.is_over or not (taken or not said or any(text in said for text in _PASSING)):
            raise EmbeddedPostgresError(
                f"PostgreSQL does not start with the database in {site.home.data}. It says:\n"
                f"{_without_password(said, site)}\n"
                f"Mend what it names, or set DATABASE_URL. The whole log: {site.log.path}"
            )
        patience.pause(0.1)


def _launch(site: Site, deciding: FileLock, keep_port: int | None) -> Server:
    version = cluster.major_version(site.home.data)
    programs = binaries.choose(site.home.account, site.home.folder, version)
    if version is None:
        cluster.make_cluster(site.home, programs, deciding, durable=site.durable)
    port = keep_port or _choose_port(site)
    site.log.trim()
    logger.info("starting %s on port %d for %s", programs, port, site.home.data)
    return server.launch(
        site.home, programs, port=port, log=site.log.path, lock=site.alive, durable=site.durable
    )


def _wait_for_remnants(site: Site, patience: Patience) -> None:
    """Wait until every process of a former server is gone."""
    bearable = Patience(_ORPHANS_SECONDS)
    while not locks.is_free(site.alive):
        if patience.is_over:
            raise EmbeddedPostgresError(
                f"Processes of a former PostgreSQL still use the database in {site.home.data}."
                f" Find and end them: fuser -v '{site.alive}'"
            )
        if bearable.is_over:
            server.end_orphans(site.home.data)
            bearable = Patience(_ORPHANS_SECONDS)
        patience.pause()


def _choose_port(site: Site) -> int:
    """The port of the last start, or another where that is taken; remembered for the next time."""
    last = site.last_port()
    if last and _is_free(last):
        return last
    port = next(port for port in random.sample(_PORTS, len(_PORTS)) if _is_free(port))
    if last:
        logger.warning("port %d is taken by another program; the database moves to %d", last, port)
    site.port.write_text(f"{port}\n")
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


def _without_password(text: str, site: Site) -> str:
    return text.replace(cluster.read_password(site.home), "***")
