"""Two PostgreSQL servers with replication, and an address that moves from one to the other."""

from __future__ import annotations

import shutil
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from combine_core.postgres.embedded.binaries import candidates
from tests.postgres_cluster import Cluster, make_cluster, wait_for

SETTINGS = {"max_connections": "60", "wal_keep_size": "64MB"}


class Forwarder:
    """A TCP address that forwards new connections to a chosen server.

    Open connections stay with their server, as with a load balancer or a Kubernetes service.

    :ivar delay: seconds by which each piece of data is delayed
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Close the address and all its connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Close all connections."""
        for one in list(self._sockets):
            _shut(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client):
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            with closing(server):
                pair = {client, server}
                self._sockets |= pair
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server)
                back.join()
                self._sockets -= pair

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.delay:
                    threading.Event().wait(self.delay)
                sink.sendall(data)
        _shut(source)
        _shut(sink)


def _shut(one: socket.socket) -> None:
    # The socket may be closed already.
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


class Pair:
    """A primary, its standby, and the address of the primary.

    :ivar primary: the server that accepts writes
    :ivar other: the standby, or the old primary after a failover
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        programs = programs_that_copy()
        assert programs is not None
        self._running: dict[Cluster, ExitStack] = {}
        self._stack = stack
        self.primary = make_cluster(folder, "a", programs)
        self.forwarder = Forwarder(self.primary.port)
        self._start(self.primary)
        self.other = make_cluster(folder, "b", programs, copy_of=self.primary)
        self._start(self.other, follows=self.primary)

    def url(self, database: str = "combine") -> str:
        """Return ``DATABASE_URL`` with the address that moves."""
        url = self.primary.url(database=database).set(
            drivername="postgresql", port=self.forwarder.port
        )
        return str(url.render_as_string(hide_password=False))

    def replicate(self) -> None:
        """Wait until the standby has received everything from the primary."""
        abreast = (
            "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()"
        )
        with self.primary.cursor() as cursor:
            wait_for(lambda: _one(cursor, abreast) == 1)

    def fail_over(self) -> None:
        """Kill the primary, promote the standby, and restart the old primary. The address stays."""
        old, new = self.primary, self.other
        self._stop(old)
        self._promote(new)
        (old.data / "standby.signal").touch()
        old.account.give(old.data / "standby.signal")
        self._start(old, follows=new)
        self.primary, self.other = new, old

    def move(self) -> None:
        """Forward new connections to the new primary."""
        self.forwarder.target = self.primary.port

    def rebuild(self) -> None:
        """Turn the old primary into a standby of the new one."""
        self._stop(self.other)
        self.other.copy(self.primary)
        self._start(self.other, follows=self.primary)

    def _start(self, cluster: Cluster, follows: Cluster | None = None) -> None:
        stack = self._running[cluster] = self._stack.enter_context(ExitStack())
        source = {} if follows is None else {"primary_conninfo": follows.conninfo}
        stack.enter_context(cluster.serve(**SETTINGS, **source))

    def _stop(self, cluster: Cluster) -> None:
        self._running.pop(cluster).close()

    def _promote(self, cluster: Cluster) -> None:
        with cluster.cursor("postgres") as cursor:
            cursor.execute("SELECT pg_promote()")
            wait_for(lambda: not _one(cursor, "SELECT pg_is_in_recovery()"))


def _one(cursor: Any, query: str) -> Any:
    cursor.execute(query)
    return cursor.fetchone()[0]


def programs_that_copy() -> Path | None:
    """Return a folder of programs with ``pg_basebackup``, which distributions have and the wheel lacks."""
    return next((one for one in candidates() if (one / "pg_basebackup").is_file()), None)


needs_pair = pytest.mark.skipif(
    programs_that_copy() is None, reason="no pg_basebackup here (apt-get install postgresql)"
)


@contextmanager
def running_pair(run_folder: Path) -> Iterator[Pair]:
    """Run a pair of servers for the block."""
    folder = run_folder / f"pair-{uuid.uuid4().hex[:8]}"
    folder.mkdir(mode=0o755)
    with ExitStack() as stack:
        pair = Pair(folder, stack)
        stack.callback(pair.forwarder.close)
        yield pair
    shutil.rmtree(folder)
