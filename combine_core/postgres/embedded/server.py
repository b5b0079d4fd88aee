"""Starts a PostgreSQL server, finds a running one, waits until it is ready, and stops it."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import subprocess
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2

from combine_core.postgres.embedded import locks
from combine_core.postgres.embedded.account import Account
from combine_core.postgres.embedded.binaries import Binaries
from combine_core.postgres.embedded.locks import (
    Deadline,
    EmbeddedPostgresError,
    StillRecoveringError,
)

logger = logging.getLogger(__package__)

HOST = "127.0.0.1"
USER = "combine"
DATABASE = "combine"

_SETTINGS = {
    "listen_addresses": HOST,
    # The path of a socket is limited to 107 bytes; TCP has no such limit.
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
    # Statements contain texts of users. The application itself logs failed and slow statements.
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
}
# For tests, many of which share one server.
_NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",
}

_STOP_SECONDS = 30.0
_QUIT_SECONDS = 10.0


@dataclass(frozen=True)
class Server:
    """A server: its first process, the postmaster (None if it died at once), and its port."""

    process: psutil.Process | None
    port: int

    def is_alive(self) -> bool:
        """Check whether the process runs. A zombie does not."""
        return self.process is not None and _runs(self.process)


def launch(
    programs: Binaries,
    account: Account,
    data: Path,
    *,
    port: int,
    log: Path,
    alive: Path,
    durable: bool,
) -> Server:
    """Start a server on the cluster ``data``, without waiting until it is ready.

    :param log: the file for its output
    :param alive: the file that all processes of the server keep locked while they live
    """
    settings = {
        **_SETTINGS,
        **({} if durable else _NOT_DURABLE),
        "port": str(port),
        "cluster_name": _name(data),
    }
    lock = locks.FileLock(alive)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        lock.try_exclusive()
        # The shell starts the server and ends, so the server is no child of this process: it outlives this
        # process and leaves no zombie. A separate session protects it from the terminal's Ctrl-C.
        started = account.run(
            [
                *("sh", "-c", '"$@" >&2 & echo "$!"', "sh"),
                *(programs.folder / "postgres", "-D", data),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            variables=_disowned_pid(data),
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=output,
            pass_fds=(lock.fd,),
        )
    finally:
        os.close(output)
        lock.close()
    return Server(_process(int(started.stdout)), port)


def find(data: Path) -> Server | None:
    """Return the server that runs on the cluster in ``data``, or None if there is none."""
    try:
        lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (FileNotFoundError, ValueError, IndexError):
        # No server runs, or it is just writing the file.
        return None
    process = _process(pid)
    try:
        is_ours = process is not None and _runs(process) and str(data) in process.cmdline()
    except psutil.Error:
        return None
    return Server(process, port) if is_ours else None


def wait_until_ready(server: Server, password: str, deadline: Deadline) -> bool:
    """Wait until the server is ready and has Combine's database; return False if it died instead."""
    while server.is_alive():
        try:
            _make_database(server.port, password)
        except psycopg2.OperationalError as error:
            if "password authentication failed" in str(error):
                raise EmbeddedPostgresError(
                    f"The embedded database rejects the stored password of its user {USER}:"
                    " one of the two was changed. Make them equal again (ALTER ROLE), or set"
                    " DATABASE_URL."
                ) from error
            if deadline.is_over:
                raise StillRecoveringError(
                    f"PostgreSQL runs, but was not ready after {deadline.seconds:.0f} s: {error}"
                    "Its recovery continues; start the service again in a while."
                ) from error
        else:
            return True
        deadline.pause()
    return False


def end(server: Server) -> None:
    """Stop the server, which closes its connections, writes its data and ends its processes."""
    for request, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, _QUIT_SECONDS)):
        deadline = Deadline(seconds)
        while server.process is not None and server.is_alive():
            if deadline.is_over:
                logger.warning("PostgreSQL did not stop within %.0f s of %s", seconds, request.name)
                break
            # Repeated, because a server that has just started ignores the signal.
            with suppress(psutil.NoSuchProcess):
                server.process.send_signal(request)
            second = Deadline(1.0)
            while server.is_alive() and not second.is_over:
                second.pause()


def end_orphans(data: Path) -> None:
    """End the processes that a dead server left behind, which keep a new server from starting."""
    for process in psutil.process_iter():
        try:
            if " ".join(process.cmdline()).startswith(f"postgres: {_name(data)}: "):
                logger.warning("ending process %d of the server that died", process.pid)
                process.send_signal(signal.SIGQUIT)
        except psutil.Error:
            # The process has ended, or this account may not read its command line.
            continue


def _make_database(port: int, password: str) -> None:
    connection = psycopg2.connect(
        host=HOST,
        # All of these are set, so that no PG* environment variable changes them.
        hostaddr=HOST,
        port=port,
        user=USER,
        password=password,
        dbname="postgres",
        sslmode="disable",
        gssencmode="disable",
        options="",
        connect_timeout=5,
    )
    with closing(connection), connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE DATABASE {DATABASE}")


def _name(data: Path) -> str:
    """Return the name of the cluster, which is in the title of each of its processes.

    A title can always be read. Root in a container, for example, may not read the working directory of
    another account's process.
    """
    return f"combine-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except (psutil.NoSuchProcess, ValueError):
        return None


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _disowned_pid(data: Path) -> dict[str, str]:
    """Return variables that make PostgreSQL ignore a stale postmaster.pid. Call only while no server runs.

    PostgreSQL refuses to start while any process of its account, even a zombie, has the id in that file,
    unless it is the grandparent process (CreateLockFile in PostgreSQL's miscinit.c), or if the file is
    truncated. Its check of the shared memory remains in force, which finds a running server, or a leftover
    process, on any cluster.
    """
    stale = data / "postmaster.pid"
    try:
        pid = int(stale.read_text(errors="replace").split()[0])
    except FileNotFoundError:
        return {}
    except (ValueError, IndexError):
        logger.warning("removing %s, which is truncated", stale)
        stale.unlink()
        return {}
    return {"PG_GRANDPARENT_PID": str(pid)}
