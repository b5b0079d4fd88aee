"""Compare Combine with FastAPI, Django REST framework and bare WSGI: ``make bench`` writes
docs/benchmarks.md.

All servers use the same PostgreSQL tables, check a bearer token, and return the same JSON. The
server has one core, and wrk another one. The servers alternate, so that other load on the machine
affects all of them. Compare the ratios and the processor time of a request; the rates depend on the
machine.

It needs wrk and taskset (Debian: apt-get install wrk util-linux).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

import psutil

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from room import SLUG, Room, fill, postgres  # noqa: E402

CONNECTIONS = 16
PATIENCE_S = 60
SOURCE = {"name": "notes.md", "text": "We decided to open the harbour. " * 64}

_ABOUT = """\
This page compares Combine with FastAPI and asynchronous SQLAlchemy on uvicorn, Django REST framework on
gunicorn (3 workers), and a bare WSGI function on waitress. `make bench` generates it.

All servers use one PostgreSQL with the same tables and 1,000 documents, check a bearer token, and return the
same JSON. A server has one core. wrk with {connections} connections shares the other core with PostgreSQL.
The servers take turns, and all values are medians. CPU time is that of the server, without PostgreSQL. It is
the most stable value. The request rates depend on the machine and its load."""

COMBINE = """\
[app:main]
use = egg:pyramid-combine
pyramid.includes = combine_health combine_core combine_core.health combine_auth combine_auth.health
combine_core.environment = production
combine_core.database_url = {url}
combine_core.secret_key = {secret}
combine_core.public_url = https://localhost

[server:main]
use = egg:pyramid-combine#waitress
listen = 127.0.0.1:{port}
threads = 4

[loggers]
keys = root

[logger_root]
level = INFO
handlers = console

[handlers]
keys = console

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = text

[formatters]
keys = text

[formatter_text]
class = combine_core.observe.TextFormatter
"""


@dataclass(frozen=True)
class Work:
    """A request, and the server that it is compared with.

    :ivar goal: the smallest ratio of the rate of Combine to that of the other server
    """

    title: str
    path: str
    peer: str
    goal: float
    body: dict[str, str] | None = None


@dataclass
class Served:
    """A running server."""

    name: str
    url: str
    process: psutil.Process
    log: IO[bytes]

    def logged(self) -> str:
        """Return the last lines of its log."""
        self.log.seek(0)
        return self.log.read().decode()[-3000:]

    def cpu_seconds(self) -> float:
        family = [self.process, *self.process.children(recursive=True)]
        return sum(one.cpu_times().user + one.cpu_times().system for one in family)


@dataclass
class Measured:
    """The results of the rounds: requests per second, and milliseconds of processor time per request."""

    rates: list[float]
    cpu_ms: list[float]


def works(room: Room) -> list[Work]:
    project = f"/api/v1/projects/{SLUG}"
    return [
        Work("`/health`", "/health", "bare WSGI", 6.0),
        Work("list of 50 documents", f"{project}/documents?limit=50", "FastAPI", 1.5),
        Work("one document of 20 kB", f"/api/v1/documents/{room.document_id}", "FastAPI", 1.5),
        Work("post a source of 2 kB", f"{project}/sources", "FastAPI", 1.4, SOURCE),
        Work("project page (HTML)", f"/projects/{SLUG}", "Django", 1.3),
    ]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def served(
    name: str, command: Callable[[int], list[str | Path]], path: str, core: int, **environ: str
) -> Iterator[Served]:
    """Run a server on one core. Enter the block as soon as it responds."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command(port))],
            cwd=HERE,
            env={"PATH": os.environ["PATH"], **environ},
            stdout=log,
            stderr=log,
        )
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not answers(url + path):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise SystemExit(f"{name} does not answer:\n{log.read().decode()[-3000:]}")
                time.sleep(0.1)
            yield Served(name, url, psutil.Process(process.pid), log)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url).close()  # noqa: S310
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def ask(server: Served, work: Work, token: str) -> bytes:
    """Return the body of the response. Raise an error if the request is rejected."""
    headers = {"Authorization": f"Bearer {token}"}
    data = None
    if work.body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(work.body).encode()
    request = urllib.request.Request(server.url + work.path, data, headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        message = f"{server.name} answers {error.code} to {work.path}:\n{server.logged()}"
        raise SystemExit(message) from error
    return body


def check_same(ours: bytes, theirs: bytes, what: str) -> None:
    """Check that the other server returns the same as Combine, except for new ids, cursors and time
    formats."""

    def shape(body: bytes) -> object:
        document = json.loads(body)
        return {name: document[name] for name in sorted(document) if name not in {"id", "next"}}

    def plain(value: object) -> str:
        times = re.sub(r"(\d{4}-\d\d-\d\dT[\d:]+)[^\"]*", "time", json.dumps(value, sort_keys=True))
        return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "id", times)

    if plain(shape(ours)) != plain(shape(theirs)):
        raise SystemExit(
            f"{what}: the answers differ:\n{plain(shape(ours))[:900]}\n{plain(shape(theirs))[:900]}"
        )


def load(
    server: Served, work: Work, token: str, seconds: int, core: int, folder: Path
) -> tuple[float, float]:
    """Send requests for some seconds. Return the rate and the processor time of a request."""
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
    command += ["-H", f"Authorization: Bearer {token}"]
    if work.body is not None:
        script = folder / "post.lua"
        body = json.dumps(work.body).replace('"', '\\"')
        script.write_text(
            f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = "{body}"\n'
        )
        command += ["-s", str(script)]
    before = server.cpu_seconds()
    shown = subprocess.run(
        [*command, server.url + work.path], check=True, capture_output=True, text=True
    ).stdout
    used = server.cpu_seconds() - before
    if "Non-2xx" in shown:
        raise SystemExit(f"{server.name} refuses {work.path}:\n{shown}")
    requests = int(re.search(r"(\d+) requests in", shown)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", shown)[1])  # type: ignore[index]
    return rate, used / requests * 1000


def peers_python(folder: Path) -> Path:
    """Return the Python of a virtual environment with the other servers. The first run creates it."""
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        sys.stdout.write("Installing the peers ...\n")
        venv.create(folder, with_pip=True)
        requirements = HERE / "requirements.txt"
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", requirements], check=True)
        done.touch()
    return python


def run(rounds: int, seconds: int, folder: Path) -> str:
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = cores[0], cores[-1]
    python = peers_python(folder)
    with ExitStack() as stack:
        url = stack.enter_context(postgres())
        room = fill(url)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def pserve(port: int) -> list[str | Path]:
            ini = scratch / "combine.ini"
            ini.write_text(
                COMBINE.format(url=url.replace("%", "%%"), secret=secrets.token_hex(32), port=port)
            )
            return [Path(sys.executable).with_name("pserve"), ini]

        commands: dict[str, tuple[Callable[[int], list[str | Path]], str]] = {
            "Combine": (pserve, "/health/ready"),
            "FastAPI": (
                lambda port: [python, "-m", "uvicorn", "fastapi_app:app", "--port", str(port)],
                "/docs",
            ),
            "Django": (
                lambda port: [
                    python, "-m", "gunicorn", "django_app:app", "--bind", f"127.0.0.1:{port}",
                    "--workers", "3",
                ],
                "/",
            ),
            "bare WSGI": (
                lambda port: [python, "-m", "waitress", f"--listen=127.0.0.1:{port}", "bare_app:app"],
                "/",
            ),
        }  # fmt: skip
        servers = {
            name: stack.enter_context(served(name, command, path, server_core, PEER_URL=url))
            for name, (command, path) in commands.items()
        }
        found: dict[tuple[str, str], Measured] = {}
        todo = [
            (work, servers[name])
            for work in works(room)
            for name in ("Combine", "FastAPI", "Django", "bare WSGI")
            if (
                name in ("Combine", work.peer)
                or (name == "Django" and work.path.startswith("/api"))
            )
        ]
        for work, server in todo:
            if work.path.startswith("/api"):
                ours = ask(servers["Combine"], work, room.token)
                check_same(ours, ask(server, work, room.token), f"{server.name}, {work.title}")
            load(server, work, room.token, max(1, seconds // 2), client_core, scratch)
        for number in range(rounds):
            sys.stdout.write(f"Round {number + 1} of {rounds} ...\n")
            sys.stdout.flush()
            for work, server in todo:
                rate, cpu = load(server, work, room.token, seconds, client_core, scratch)
                measured = found.setdefault((work.title, server.name), Measured([], []))
                measured.rates.append(rate)
                measured.cpu_ms.append(cpu)
        memory = {
            name: sum(
                one.memory_info().rss
                for one in [server.process, *server.process.children(recursive=True)]
            )
            for name, server in servers.items()
        }
        return report(works(room), found, memory)


def report(todo: list[Work], found: dict[tuple[str, str], Measured], memory: dict[str, int]) -> str:
    lines = [
        "# Benchmarks",
        "",
        *_ABOUT.format(connections=CONNECTIONS).splitlines(),
        "",
        "| Work | Server | requests/s | CPU per request | Combine's rate relative to it | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for work in todo:
        ours = median(found[work.title, "Combine"].rates)
        for (title, name), measured in found.items():
            if title != work.title:
                continue
            ratio, wanted = "", ""
            if name != "Combine":
                rates = zip(found[title, "Combine"].rates, measured.rates, strict=True)
                ratio = f"{median(one / other for one, other in rates):.2f} x"
                wanted = f"≥ {work.goal:g} x" if name == work.peer else ""
            rate = ours if name == "Combine" else median(measured.rates)
            cpu = median(measured.cpu_ms)
            lines.append(f"| {title} | {name} | {rate:,.0f} | {cpu:.3g} ms | {ratio} | {wanted} |")
    shown = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in memory.items())
    lines += ["", f"Resident memory after the benchmark, of all processes of a server: {shown}."]
    return "\n".join([*lines, ""])


def read_arguments(description: str | None) -> argparse.Namespace:
    """Return ``rounds``, ``seconds`` and ``peers``, the folder of the virtual environment."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument(
        "--peers", type=Path, default=ROOT / "var" / "peers", help="their environment"
    )
    return parser.parse_args()


def main() -> int:
    given = read_arguments(__doc__)
    page = run(given.rounds, given.seconds, given.peers)
    (ROOT / "docs" / "benchmarks.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
