"""A PostgreSQL server like that of another operator: any programs and settings, TCP, a password."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import make_url

from combine_core.postgres.embedded.account import Account, account_for
from combine_core.postgres.embedded.binaries import Binaries, choose

PASSWORD = "canary-password"
# The time for a server to start on a busy machine.
PATIENCE_S = 90.0


class Cluster:
    """A cluster that can be started with any settings, one server at a time."""

    def __init__(
        self, folder: Path, account: Account, programs: Path, copy_of: Cluster | None = None
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.account = account
        self.programs = programs
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        account.give(folder)
        if copy_of is not None:
            self.copy(copy_of)
            return
        pwfile = self.own("pwfile", PASSWORD)
        done = account.run(
            [
                *(programs / "initdb", "-D", self.data, "-U", "combine", f"--pwfile={pwfile}"),
                *("--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C"),
            ]
        )
        assert done.returncode == 0, done.stderr
        with self.serve(), self.cursor("postgres") as cursor:
            cursor.execute("CREATE DATABASE combine")

    def copy(self, primary: Cluster) -> None:
        """Turn the cluster into a standby of this running server, with a copy of its data."""
        shutil.rmtree(self.data, ignore_errors=True)
        done = self.account.run(
            [
                *(self.programs / "pg_basebackup", "-D", self.data, "-R", "--no-sync"),
                *("--checkpoint=fast", "-d", primary.conninfo),
            ]
        )
        assert done.returncode == 0, done.stderr

    @property
    def conninfo(self) -> str:
        """Return the connection parameters for programs of PostgreSQL."""
        return f"host=127.0.0.1 port={self.port} user=combine password={PASSWORD}"

    def own(self, name: str, content: str = "") -> Path:
        """Give a file to the account of the server."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(content)
        self.account.give(path)
        return path

    def url(self, password: str = PASSWORD, database: str = "combine", query: str = "") -> Any:
        """Return the URL of the server for the application."""
        return make_url(
            f"postgresql+psycopg2://combine:{password}@127.0.0.1:{self.port}/{database}{query}"
        )

    @contextmanager
    def cursor(self, database: str = "combine") -> Iterator[Any]:
        dsn = self.url(database=database).set(drivername="postgresql")
        with closing(psycopg2.connect(dsn.render_as_string(hide_password=False))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    @contextmanager
    def serve(self, *, ready: bool = True, locales: Path | None = None, **settings: str):
        """Run the server for the block. Yield its first process. It is always stopped afterwards."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": "12",
            **settings,
        }
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        if locales is not None:
            environment = {"PATH": os.environ["PATH"], "LOCPATH": str(locales)}
        privileges: dict[str, Any] = {}
        if self.account.is_other:
            privileges = {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(str(self.programs / "postgres"), "-D", str(self.data)),
                    *(f"--{name}={value}" for name, value in options.items()),
                ],
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **privileges,
            )
        try:
            if ready:
                wait_for(lambda: process.poll() is not None or self._is_ready())
            assert process.poll() is None, (self.folder / "log").read_text()
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGQUIT)
            process.wait(PATIENCE_S)
            (self.data / "postgresql.auto.conf").write_text("")

    def _is_ready(self) -> bool:
        try:
            with self.cursor("postgres"):
                return True
        except psycopg2.OperationalError:
            return False

    @contextmanager
    def signal_file(self, name: str) -> Iterator[None]:
        path = self.data / name
        path.touch()
        self.account.give(path)
        yield
        path.unlink(missing_ok=True)


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.02)
    return answer


def make_cluster(
    run_folder: Path, name: str, programs: Path | None = None, copy_of: Cluster | None = None
) -> Cluster:
    folder = run_folder / f"{name}-{os.getpid()}"
    folder.mkdir(mode=0o755)
    account = account_for(folder / "data")
    if programs is None:
        found: Binaries = choose(account, folder, None)
        programs = found.folder
    return Cluster(folder, account, programs, copy_of)
