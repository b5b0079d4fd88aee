"""PgBouncer in front of a PostgreSQL server, as installed by the package of Debian."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg2
import pytest

from combine_core.postgres.embedded.account import account_for
from tests.conftest import free_port
from tests.postgres_cluster import PATIENCE_S, wait_for

needs_pgbouncer = pytest.mark.skipif(
    not (shutil.which("pgbouncer") or Path("/usr/sbin/pgbouncer").exists()),
    reason="pgbouncer is not installed",
)


@contextmanager
def pgbouncer(folder: Path, url: str, mode: str, **options: str) -> Iterator[str]:
    """Run PgBouncer in front of the server of `url`. Yield the same URL through PgBouncer.

    :param folder: is created; other accounts must be able to enter its parent
    :param mode: session or transaction
    """
    server, port = urlsplit(url), free_port()
    folder.mkdir(mode=0o755)
    account = account_for(folder / "data")
    users = folder / "users.txt"
    users.write_text(f'"{server.username}" "{unquote(server.password or "")}"\n')
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": str(users),
        "pool_mode": mode,
        **options,
    }
    ini = folder / "pgbouncer.ini"
    ini.write_text(
        f"[databases]\n* = host={server.hostname} port={server.port}\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in settings.items())
    )
    for path in (ini, users):
        path.chmod(0o644)
    privileges = (
        {"user": account.uid, "group": account.gid, "extra_groups": []} if account.is_other else {}
    )
    with (folder / "pgbouncer.log").open("ab") as log:
        process = subprocess.Popen(
            [shutil.which("pgbouncer") or "/usr/sbin/pgbouncer", str(ini)],
            cwd="/",
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **privileges,
        )
    try:
        wait_for(lambda: process.poll() is not None or _listens(port))
        assert process.poll() is None, (folder / "pgbouncer.log").read_text()
        yield url.replace(f"@{server.hostname}:{server.port}/", f"@127.0.0.1:{port}/")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
