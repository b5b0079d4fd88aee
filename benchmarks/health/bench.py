"""Measure the health lane, as ratios within one run: ``make bench-health``.

The script starts real servers on loopback, each on one core, and a client on another core. It
prints each measurement with its target, and exits with status 1 if one misses its target.
``--quick`` takes a few seconds and is less precise. ``--no-fastapi`` leaves out the comparison with
FastAPI, which the script installs into a temporary virtual environment.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import psutil

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATIENCE = 60
CONNECTIONS = 16
THREADS = 4  # This is the default of waitress. Both servers use it.
OPEN = 1_000
PROBES = 10_000
DRAIN = 2

INI = """\
[app:main]
use = call:apps:main
database = {database}
combine_health.load_entry_points = false

[server:main]
paste.server_factory = combine_health.server.waitress:server_factory
listen = 127.0.0.1:0
threads = {threads}
drain_seconds = {drain}
"""


class Report:
    """Prints the results, and records whether one of them misses its target."""

    def __init__(self) -> None:
        self.missed = 0

    def show(self, text: str) -> None:
        """Print a line."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def show_target(self, what: str, measured: str, wanted: str, *, met: bool) -> None:
        """Print a line with a target."""
        self.missed += not met
        self.show(f"{'ok  ' if met else 'MISS'} {what}: {measured} (wanted: {wanted})")


def cores() -> tuple[set[int], set[int]]:
    """Return one core for the server and the others for the client. A single core serves both."""
    have = sorted(os.sched_getaffinity(0))
    return {have[0]}, set(have[1:]) or {have[0]}


@contextmanager
def started(*command: str | Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start a server process on one core."""
    process = subprocess.Popen(
        [str(word) for word in command],
        env={
            **{key: value for key, value in os.environ.items() if key not in {"PORT", "LISTEN"}},
            "PYTHONPATH": f"{HERE}:{ROOT}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    os.sched_setaffinity(process.pid, cores()[0])
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def start_combine(folder: Path, database: int = 0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start the add-on under pserve. Return its process and port."""
    ini = folder / "bench.ini"
    ini.write_text(INI.format(database=database, threads=THREADS, drain=DRAIN))
    code = "from pyramid.scripts.pserve import main; main()"
    with started(sys.executable, "-c", code, ini) as process:
        assert process.stdout is not None
        found = re.search(r":(\d+)$", process.stdout.readline())
        assert found is not None, "pserve did not start"
        yield process, int(found.group(1))


@contextmanager
def start_other(
    name: str, python: str | Path = sys.executable
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start one of the other servers of `apps`. Return its process and port."""
    with socket.create_server(("127.0.0.1", 0)) as lent:
        port: int = lent.getsockname()[1]
    with started(python, HERE / "apps.py", name, str(port)) as process:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield process, port


def load(
    port: int,
    path: str,
    *,
    connections: int = 1,
    seconds: float = PATIENCE,
    most: int = 10**9,
    status: int = 200,
    fresh: bool = False,
) -> dict[str, float]:
    """Run the client. Return the requests, the rate (1/s), and p50, p99 and max (ms)."""
    words = [port, path, connections, seconds, most, status, int(fresh)]
    done = subprocess.run(
        [sys.executable, HERE / "load.py", *map(str, words)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds + PATIENCE,
        preexec_fn=lambda: os.sched_setaffinity(0, cores()[1]),
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


class Rate:
    """The request rate of one path of a server under full load."""

    def __init__(self, name: str, server: tuple[subprocess.Popen[str], int], path: str) -> None:
        self.name = name
        self.process, self.port = server
        self.path = path
        self.rates: list[float] = []
        self.costs: list[float] = []

    def measure(self, seconds: float) -> None:
        """Measure one round."""
        before = self._used()
        found = load(self.port, self.path, connections=CONNECTIONS, seconds=seconds)
        self.rates.append(found["rate"])
        self.costs.append((self._used() - before) / found["requests"])

    def _used(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def ratio_to(self, other: "Rate") -> float:
        """Return the ratio of the rates: the median over the rounds."""
        return median(mine / theirs for mine, theirs in zip(self.rates, other.rates, strict=True))

    def __str__(self) -> str:
        rate, cost = median(self.rates), median(self.costs) * 1e6
        return f"     {self.name}: {rate:,.0f} requests/s, {cost:.0f} us of its core each"


def throughput(report: Report, folder: Path, seconds: float, rounds: int, fastapi: bool) -> None:
    """Compare the request rate with that of a bare WSGI function on stock waitress, and of FastAPI."""
    with start_combine(folder) as ours, start_other("bare") as stock:
        wait_for_ready(ours[1])
        bare = Rate("bare WSGI function on stock waitress", stock, "/health")
        lanes = [Rate(path, ours, path) for path in ("/health", "/health/ready")]
        for _ in range(
            rounds
        ):  # The servers alternate, so that other load on the machine affects all of them.
            for one in (bare, *lanes):
                one.measure(seconds)
        for one in (bare, *lanes):
            report.show(str(one))
        for one in lanes:
            found = one.ratio_to(bare)
            report.show_target(
                f"{one.path} compared with it", f"{found:.1f} x", "3.0 x", met=found >= 3
            )
        if fastapi:
            compare_with_fastapi(report, folder, ours, seconds, rounds)


def compare_with_fastapi(
    report: Report,
    folder: Path,
    ours: tuple[subprocess.Popen[str], int],
    seconds: float,
    rounds: int,
) -> None:
    """Compare the request rate with FastAPI, if it can be installed."""
    home = folder / "fastapi"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    wanted = ["fastapi", "uvicorn", "uvloop", "httptools"]
    # FastAPI needs other versions than our pinned ones.
    clean = {key: value for key, value in os.environ.items() if "CONSTRAINT" not in key}
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *wanted],
        env=clean,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        report.show(f"     FastAPI cannot be installed here: {done.stderr.strip()[-200:]}")
        return
    with start_other("fastapi", python) as server:
        peer = Rate("FastAPI on uvicorn, uvloop, httptools", server, "/health")
        lane = Rate("/health", ours, "/health")
        for _ in range(rounds):
            for one in (peer, lane):
                one.measure(seconds)
        report.show(str(peer))
        found = lane.ratio_to(peer)
        report.show_target("/health compared with it", f"{found:.1f} x", "over 1", met=found > 1)


def wait_for_ready(port: int) -> None:
    """Wait until the first check has passed."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(subprocess.CalledProcessError):
            load(port, "/health/ready", most=1, fresh=True)
            return
    raise SystemExit("the service did not become ready")


class BlackHole:
    """A database that accepts connections and never responds."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.taken: list[socket.socket] = []
        self.first = threading.Event()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with suppress(OSError):  # The socket is closed.
            while True:
                self.taken.append(self.socket.accept()[0])
                self.first.set()


def measure_under_stress(report: Report, folder: Path, probes: int) -> None:
    """Measure with a silent database, all worker threads blocked and 1,000 open connections."""
    hole = BlackHole()
    with start_combine(folder, hole.port) as (process, port):
        assert hole.first.wait(PATIENCE)
        seen = psutil.Process(process.pid)
        others = [socket.create_connection(("127.0.0.1", port)) for _ in range(OPEN)]
        for one in others[
            : THREADS * 5
        ]:  # Some block the worker threads; the others wait in the queue.
            one.sendall(b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n")
        for fresh in (
            False,
            True,
        ):  # Wait until the server has created everything that it creates on first use.
            load(port, "/health/ready", seconds=2, status=503, fresh=fresh)
        before = seen.num_threads(), seen.num_fds(), seen.memory_info().rss
        for path, status in (("/health", 200), ("/health/ready", 503)):
            for fresh in (False, True):
                found = load(port, path, most=probes // 4, status=status, fresh=fresh)
                report.show_target(
                    f"{path}, {'a connection each' if fresh else 'kept connection'}, "
                    f"{found['requests']:,.0f} probes",
                    f"p99 {found['p99']:.2f} ms (p50 {found['p50']:.2f}, max {found['max']:.1f})",
                    "p99 under 5 ms",
                    met=found["p99"] < 5,
                )
        after = seen.num_threads(), seen.num_fds(), seen.memory_info().rss
        report.show_target(
            f"after {probes:,} probes against a hung check",
            f"threads {before[0]} -> {after[0]}, descriptors {before[1]} -> {after[1]}, "
            f"memory {(after[2] - before[2]) / 1024:+,.0f} kB",
            "flat",
            met=before[:2] == after[:2] and after[2] - before[2] < 1_000_000,
        )
        count = len(hole.taken)
        report.show_target(
            "database connections opened", str(count), "1, by the check", met=count == 1
        )
        for one in others:
            one.close()
    with start_combine(folder, hole.port) as (process, port):
        load(port, "/health/ready", most=1, status=503)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE)
        took = time.monotonic() - began
        report.show_target(
            "exit with a hung check",
            f"{took:.1f} s, status {code}",
            f"drain ({DRAIN} s) + 5 s, status 0",
            met=took < DRAIN + 5 and code == 0,
        )
    hole.socket.close()


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds, no FastAPI")
    parser.add_argument("--no-fastapi", action="store_true", help="do not install FastAPI")
    given = parser.parse_args()
    report = Report()
    server, client = cores()
    report.show(f"server on core {server}, client on {client}, {CONNECTIONS} connections")
    report.show(
        f"load of the machine before: {os.getloadavg()[0]:.1f} (times in ms want it near 0)"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, rounds = (0.5, 3) if given.quick else (1.0, 9)
        fastapi = not (given.quick or given.no_fastapi)
        measure_under_stress(report, folder, PROBES)
        throughput(report, folder, seconds, rounds, fastapi)
    sys.exit(f"\n{report.missed} of the targets missed" if report.missed else 0)


if __name__ == "__main__":
    main()
