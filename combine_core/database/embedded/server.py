"""One PostgreSQL server: starting it, finding it again, waiting until it is ready, ending it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2

from combine_core.database.embedded import locks
from combine_core.database.embedded.binaries import Binaries
from combine_core.database.embedded.cluster import USER
from combine_core.database.embedded.errors import EmbeddedPostgresError, StillRecoveringError
from combine_core.database.embedded.home import Home
from combine_core.database.embedded.patience import Patience

logger = logging.getLogger(__package__)

HOST = "127.0.0.1"
DATABASE = "combine"

_SETTINGS = {
    "listen_addresses": HOST,
    # A socket's path may have 107 bytes only; TCP has no such limit.
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "logging_collector": "off",
    "log_destination": "stderr",
    # Our statements hold people's texts; the application itself logs what fails and what is slow.
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_STOP_SECONDS = 30.0
_QUIT_SECONDS = 10.0


@dataclass(frozen=True)
class Server:
    """A server's first process (the postmaster; None if it died at once) and the port it listens on."""

    process: psutil.Process | None
    port: int

    @property
    def is_alive(self) -> bool:
        """Whether the process runs. A dead one that its parent has not collected yet does not."""
        return self.process is not None and _runs(self.process)


def launch(
    home: Home, binaries: Binaries, *, port: int, log: Path, lock: Path, durable: bool
) -> Server:
    """Start a server, without waiting until it is ready.

    :param log: the file for what it writes
    :param lock: the file on which the server, with all its processes, holds a lock while it lives
    """
    settings = {**_SETTINGS, "port": str(port), **({} if durable else _NOT_DURABLE)}
    alive = locks.FileLock(lock)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        alive.try_exclusive()
        # The shell starts the server and ends, which makes the server nobody's child: it outlives
        # us, and leaves no zombie in us. A session of its own keeps the terminal's Ctrl-C from it.
        started = home.account.run(
            [
                *("sh", "-c", '"$@" >&2 & echo "$!"', "sh"),
                *(binaries.folder / "postgres", "-D", home.data),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            variables=_disowned_pid(home.data),
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=output,
            pass_fds=(alive.fd,),
        )
    finally:
        os.close(output)
        alive.close()
    return Server(_process(int(started.stdout)), port)


def find(data: Path) -> Server | None:
    """The server that runs on the cluster ``data``, if there is one."""
    try:
        lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (FileNotFoundError, ValueError, IndexError):
        # None, or one that is just writing the file.
        return None
    process = _process(pid)
    if process is None or not _runs(process) or not _serves(process, data):
        return None
    return Server(process, port)


def wait_until_ready(server: Server, password: str, patience: Patience) -> bool:
    """Wait until the server takes connections and has our database; False if it died instead."""
    while server.is_alive:
        try:
            _make_database(server.port, password)
        except psycopg2.OperationalError as error:
            if "password authentication failed" in str(error):
                raise EmbeddedPostgresError(
                    "The database does not accept the password that is stored beside it: somebody changed"
                    f" one of them. Set it anew for the database user {USER}, or put the file back."
                ) from error
        else:
            return True
        if patience.is_over:
            raise StillRecoveringError(
                f"PostgreSQL (process {server.process.pid if server.process else '?'}) has not become"
                f" ready in {patience.seconds:.0f} s. It goes on with its recovery: start again in a while."
            )
        patience.pause()
    return False


def end(server: Server) -> None:
    """Stop the server: connections are cut, the data is written, its processes end."""
    for how, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, _QUIT_SECONDS)):
        patience = Patience(seconds)
        while server.is_alive and not patience.is_over:
            # Again and again: one that has only just been started does not listen to it yet.
            _signal(server.process, how)
            again = Patience(1.0)
            while server.is_alive and not again.is_over:
                again.pause()
        if not server.is_alive:
            return
        logger.warning("PostgreSQL did not stop within %.0f s of %s", seconds, how.name)


def end_orphans(data: Path) -> None:
    """End the processes that a dead server left behind: as long as one lives, no other can start."""
    for process in psutil.process_iter():
        try:
            if process.name().startswith("postgres") and Path(process.cwd()).samefile(data):
                logger.warning("ending process %d of the server that died", process.pid)
                process.send_signal(signal.SIGQUIT)
        except (psutil.Error, OSError):
            # Gone by now, or not ours to look at.
            continue


def _make_database(port: int, password: str) -> None:
    connection = psycopg2.connect(
        host=HOST,
        # Named, so that no PG* variable of our environment leads elsewhere.
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


def _serves(process: psutil.Process, data: Path) -> bool:
    try:
        # Not its working directory, which a container's root may not read of another account.
        return str(data) in process.cmdline()
    except psutil.Error:
        return False


def _signal(process: psutil.Process | None, how: signal.Signals) -> None:
    try:
        if process is not None:
            process.send_signal(how)
    except psutil.NoSuchProcess:
        return


def _disowned_pid(data: Path) -> dict[str, str]:
    """Make PostgreSQL overlook a stale postmaster.pid whose number another process has by now.

    It refuses to start while any process of its account has that number, a zombie too, unless the
    number is its grandparent's (CreateLockFile in PostgreSQL's miscinit.c). The check of the shared
    memory, which tells whether processes of the former server still live, remains.
    """
    try:
        pid = int((data / "postmaster.pid").read_text(errors="replace").split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return {}
    return {"PG_GRANDPARENT_PID": str(abs(pid))}
