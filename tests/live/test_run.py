"""Tests `pserve development.ini` as a developer runs it: start, kill, restart, stop."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from combine_core.postgres.embedded.data_folder import fallback_of

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PATIENCE_S = 60
TEXT = "The oven runs at 180 °C.\n\nWe decided to replace the seal by Friday.\n\nWho pays for it?\n"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {PATIENCE_S} s"
        time.sleep(0.05)


class Service:
    """A process of the service in a folder, with a client."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "service.log"
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        }
        self.token = ""
        self.start()

    def start(self) -> None:
        with self.log.open("a") as output:
            self.process = subprocess.Popen(
                [BIN / "pserve", "development.ini"],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.ready()[0] == 200, f"readiness\n{self.log.read_text()}")

    def ready(self) -> tuple[int, dict[str, str]]:
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:  # the port is closed, or the service is still loading
            return 0, {}

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [BIN / "combine", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def api(self, path: str, body: object = None) -> dict[str, object]:
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def make_token(self) -> None:
        self.token = self.command(
            "token", "create", "-c", "development.ini", "--user", "you@example.org"
        )

    def interrupt(self) -> int:
        """Press Ctrl-C: the terminal signals the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE_S)

    def database(self) -> psutil.Process | None:
        """Return the postmaster while it is alive."""
        data = Path(self.folder.resolve() / "var" / "postgres" / "cluster" / "data")
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "-D" in words and str(data) in words:
                return process
        return None


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the account of the database may enter, unlike the folder of pytest under root."""
    path = Path(tempfile.mkdtemp(prefix="combine-live-"))
    path.chmod(0o755)
    shutil.copy(ROOT / "development.ini", path)
    yield path
    shutil.rmtree(path)
    assert not fallback_of(path / "var" / "postgres").exists()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def service(folder: Path, free_port: int) -> Iterator[Service]:
    service = Service(folder, free_port)
    try:
        service.wait_until_ready()
        yield service
    finally:
        if service.process.poll() is None:
            service.process.send_signal(signal.SIGTERM)
            service.process.wait(PATIENCE_S)
        wait_for(lambda: service.database() is None, "the end of the database")


@pytest.mark.slow
def test_a_first_start_makes_a_document_and_survives_kill_9(service: Service) -> None:
    """At the end, Ctrl-C stops everything that the service started."""
    log = service.log.read_text()
    for line in (f"{service.url.replace('127.0.0.1', 'localhost')}", "/health/detailed", "Sign in"):
        assert line in log
    service.make_token()
    project = service.api("/projects", {"name": "First"})
    source = service.api("/projects/first/sources", {"name": "oven.md", "text": TEXT})
    run = service.api("/projects/first/runs", {"line": "brief", "sources": [source["id"]]})
    wait_for(lambda: service.api(f"/runs/{run['id']}")["state"] == "succeeded", "the run's end")
    (document,) = service.api(f"/runs/{run['id']}")["documents"]  # type: ignore[misc]

    os.killpg(service.process.pid, signal.SIGKILL)
    service.process.wait()
    service.start()
    service.wait_until_ready()
    (kept,) = service.api("/projects")["items"]  # type: ignore[misc]
    assert kept == project
    content = service.api(f"/documents/{document['id']}")["content"]
    assert "We decided to replace the seal by Friday." in json.dumps(content)

    assert service.database() is not None
    before = len(service.log.read_text())
    assert service.interrupt() == 0
    wait_for(lambda: service.database() is None, "the end of the database")
    assert "Traceback" not in service.log.read_text()
    said = service.log.read_text()[before:]
    assert "stopping PostgreSQL" in said
    assert not [line for line in said.splitlines() if " WARNING " in line or " ERROR " in line]


@pytest.mark.slow
def test_a_killed_database_restarts_and_the_run_ends(service: Service) -> None:
    service.make_token()
    service.api("/projects", {"name": "First"})
    source = service.api("/projects/first/sources", {"name": "oven.md", "text": TEXT * 2000})
    run = service.api("/projects/first/runs", {"line": "brief", "sources": [source["id"]]})

    def noticed_dead() -> bool:
        # Repeat the check: the database returns within a moment, which one check may miss.
        database = service.database()
        if database is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                database.kill()
        return service.ready() == (503, {"status": "unavailable", "database": "disconnected"})

    wait_for(noticed_dead, "503")
    service.wait_until_ready()
    wait_for(lambda: service.api(f"/runs/{run['id']}")["ended_at"] is not None, "the run's end")
    assert service.api(f"/runs/{run['id']}")["state"] == "succeeded"
    # The remedy refers to this database.
    assert "var/postgres/server.log" in service.log.read_text()
    assert "docker" not in service.log.read_text()


@pytest.mark.slow
def test_ctrl_c_during_the_first_start_is_harmless(folder: Path, free_port: int) -> None:
    service = Service(folder, free_port)
    wait_for(lambda: "creating a cluster" in service.log.read_text(), "the first line")
    assert service.interrupt() == 0
    assert service.database() is None
    assert "Traceback" not in service.log.read_text()
    service.start()
    try:
        service.wait_until_ready()
    finally:
        service.interrupt()
    wait_for(lambda: service.database() is None, "the end of the database")


def test_a_used_port_is_reported_with_process_and_remedy(folder: Path, free_port: int) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", free_port))
        holder.listen()
        service = Service(folder, free_port)
        assert service.process.wait(PATIENCE_S) == 1
        log = service.log.read_text()
    assert str(free_port) in log
    assert str(os.getpid()) in log
    assert "make run PORT=" in log
    assert "Traceback" not in log
    assert service.database() is None


@pytest.mark.slow
def test_the_command_line_works_with_and_without_the_service(service: Service) -> None:
    (service.folder / "oven.md").write_text(TEXT)
    arguments = ("run", "-c", "development.ini", "brief", "oven.md")
    beside = service.command(*arguments)
    assert "We decided to replace the seal by Friday." in beside
    service.interrupt()
    wait_for(lambda: service.database() is None, "the end of the database")
    assert service.command(*arguments) == beside
    wait_for(lambda: service.database() is None, "the end of the command's database")
