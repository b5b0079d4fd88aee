"""A deployment of Combine: `pserve production.ini` and `combine worker`, each in its own process.

The processes inherit only PATH from the environment of the tests, and share no module with them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.conftest import free_port
from tests.live.compose_stack import until

HOST = "combine.example.org"
ENDED = ("succeeded", "failed", "cancelled")
# The time for a process to start or end, and for a run to end, on a busy machine.
PATIENCE_S = 120.0

SOURCE = """# Oven {number}

The oven runs at 180 °C.
We decided to replace the seal by Friday.
Who pays for it?
"""
QUOTE, QUOTED_LINE = "We decided to replace the seal by Friday.", 4


@dataclass(frozen=True)
class Process:
    """A process of a deployment, and its output."""

    popen: subprocess.Popen[bytes]
    _log: Path

    def log(self) -> str:
        """Return the output so far."""
        return self._log.read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop the process, wait for its end, and return its exit status."""
        self.popen.send_signal(how)
        return self.popen.wait(PATIENCE_S)


@dataclass(frozen=True)
class Client:
    """A user of the API with a token.

    :ivar host: the host name of the service, if it is not in the URL
    """

    url: str
    token: str
    host: str | None = None

    def api(self, path: str, body: object = None) -> Any:
        """Return the JSON or the text of the response. An error status raises HTTPError."""
        return self._send(path, None if body is None else json.dumps(body).encode())

    def upload(self, path: str, name: str, data: bytes) -> Any:
        """Upload a file with a form."""
        head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body = head.encode() + data + b"\r\n--b--\r\n"
        return self._send(path, body, "multipart/form-data; boundary=b")

    def _send(self, path: str, body: bytes | None, media_type: str = "application/json") -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": media_type}
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            data=body,
            headers=headers | ({"Host": self.host} if self.host else {}),
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
            is_json = answer.headers.get_content_type() == "application/json"
            return json.loads(text) if is_json else text


@dataclass(frozen=True)
class Web(Process):
    """A web process."""

    url: str

    def is_ready(self) -> bool:
        """Return whether it accepts requests. Raise OSError if the port is closed."""
        request = urllib.request.Request(f"{self.url}/health/ready", headers={"Host": HOST})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False

    def client(self, token: str) -> Client:
        """Return a client of this process."""
        return Client(self.url, token, HOST)


class Deployment:
    """An installation and its processes. The end of the block kills those that still run.

    :param folder: the folder of production.ini
    :param binaries: the `bin` folder of the environment with Combine
    :param database_url: an empty database
    :param settings: additional variables for all processes
    :ivar environment: all variables of the processes
    """

    def __init__(self, folder: Path, binaries: Path, database_url: str, **settings: str) -> None:
        self._folder = folder
        self._binaries = binaries
        self.environment = {
            "PATH": os.pathsep.join([str(binaries), os.environ["PATH"]]),
            "HOME": str(folder),
            "ENVIRONMENT": "production",
            "DATABASE_URL": database_url,
            "SECRET_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f0" * 2,
            "PUBLIC_URL": f"https://{HOST}",
            "ALLOWED_ORIGINS": f"https://{HOST}",
            **settings,
        }
        self._processes: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.popen.poll() is None:
                process.stop(signal.SIGKILL)

    def run(self, program: str, *words: str, **variables: str) -> str:
        """Return the output of a command. If the command fails, fail the test with the output."""
        done = subprocess.run(
            [self._binaries / program, *words],
            cwd=self._folder,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, f"{program} {words}\n{done.stdout}{done.stderr}"
        return done.stdout

    def migrate(self) -> None:
        """Migrate the schema as the runbook describes."""
        self.run("alembic", "upgrade", "head", ALEMBIC_CONFIG="production.ini")

    def token(self) -> str:
        """Return a token of an administrator."""
        self.run("combine", "user", "create", "-c", "production.ini", "--admin", "ann@example.org")
        words = ("token", "create", "-c", "production.ini", "--user", "ann@example.org")
        return self.run("combine", *words).split()[-1]

    def start_web(self) -> Web:
        """Start a web process. :meth:`until_ready` waits for it."""
        port = str(free_port())
        popen, log = self._start(
            ["pserve", "production.ini"], PORT=port, LISTEN=f"127.0.0.1:{port}"
        )
        web = Web(popen, log, f"http://127.0.0.1:{port}")
        self._processes.append(web)
        return web

    def until_ready(self, *webs: Web) -> None:
        """Wait until all processes are ready. Fail with the logs if one ends or takes too long."""

        def all_or_one_ended() -> bool:
            return any(web.popen.poll() is not None for web in webs) or all(
                web.is_ready() for web in webs
            )

        until(PATIENCE_S, all_or_one_ended, self.logs)
        for web in webs:
            assert web.popen.poll() is None, web.log()

    def start_worker(self, *options: str, **variables: str) -> Process:
        """Start a worker. It starts working a moment later."""
        worker = Process(
            *self._start(["combine", "worker", "-c", "production.ini", *options], **variables)
        )
        self._processes.append(worker)
        return worker

    def _start(self, command: list[str], **variables: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = self._folder / f"process{len(self._processes)}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [self._binaries / command[0], *command[1:]],
                cwd=self._folder,
                env={**self.environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return popen, log

    def logs(self) -> str:
        """Return the output of all processes."""
        return "\n".join(f"== {one.popen.args!r}\n{one.log()}" for one in self._processes)


def start_run(client: Client, number: int) -> dict[str, Any]:
    """Start the line `brief` on a new source in a new project, and return the run."""
    project = client.api("/projects", {"name": f"Oven {number}"})["slug"]
    text = SOURCE.format(number=number)
    source = client.api(f"/projects/{project}/sources", {"name": "oven.md", "text": text})
    body = {"line": "brief", "sources": [source["id"]]}
    run: dict[str, Any] = client.api(f"/projects/{project}/runs", body)
    return run


def check_succeeds(client: Client, run: dict[str, Any], logs: Callable[[], str]) -> None:
    """Wait for the end of the run, and check that it has written one version of one document with
    evidence."""

    def now() -> dict[str, Any]:
        read: dict[str, Any] = client.api(f"/runs/{run['id']}")
        return read

    until(PATIENCE_S, lambda: now()["state"] in ENDED, logs)
    ended = now()
    assert ended["state"] == "succeeded", f"{ended}\n{logs()}"
    assert [step["state"] for step in ended["steps"]] == ["done", "done"]
    (reference,) = ended["documents"]
    document = client.api(f"/documents/{reference['id']}")
    evidence = {
        "source_id": ended["sources"][0],
        "line_from": QUOTED_LINE,
        "line_to": QUOTED_LINE,
        "quote": QUOTE,
    }
    assert [item["evidence"] for item in document["content"]["decisions"]] == [[evidence]]
    assert document["flagged"] == 0
    assert QUOTE in client.api(f"/documents/{reference['id']}?format=md")
    (version,) = client.api(f"/documents/{reference['id']}/versions")["items"]
    assert (version["version"], version["run_id"]) == (1, run["id"])
