"""Measure the cost of a request behind HAProxy, with one instance and with three.

    PYTHONPATH=. python benchmarks/peers/balanced.py

The script starts HAProxy with deploy/haproxy.cfg. Local addresses replace the names of Docker. The
instances share one core; HAProxy, wrk and PostgreSQL share the other one. The two deployments
alternate.

Processes that alternate on a core evict each other's caches. FastAPI in the same place shows how
much of the difference comes from that.

It needs haproxy, wrk and taskset (Debian: apt-get install haproxy wrk util-linux).
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench import (
    COMBINE,
    ROOT,
    Served,
    free_port,
    load,
    peers_python,
    read_arguments,
    served,
    works,
)
from room import fill, postgres

INSTANCES = (1, 3)
# A page costs the instances as much as an API request. The probes do not reach the thread pool.
WORKS = ("list of 50 documents", "one document of 20 kB", "post a source of 2 kB")


def configuration(ports: list[int], port: int, *, probes: bool) -> str:
    """Return deploy/haproxy.cfg for instances that listen on these ports.

    :param probes: whether they serve /health/ready
    """
    text = (ROOT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")
    servers = "\n    ".join(f"server app{each} 127.0.0.1:{each}" for each in ports)
    text = re.sub(r"server-template app .*", servers, text)
    text = re.sub(r"\n# Docker's own DNS.*?(?=\nfrontend)", "", text, flags=re.DOTALL)
    text = text.replace("resolvers docker init-addr none resolve-prefer ipv4 ", "")
    if not probes:
        text = re.sub(r"    (option httpchk|http-check .*)\n", "", text)
    text = text.replace("bind :8000", f"bind 127.0.0.1:{port}")
    return text.replace("bind 127.0.0.1:8001", f"bind 127.0.0.1:{free_port()}")


def run(rounds: int, seconds: int, peers: Path) -> str:
    cores = sorted(os.sched_getaffinity(0))
    instance_core, other_core = cores[0], cores[-1]
    python = peers_python(peers)
    with ExitStack() as stack:
        url = stack.enter_context(postgres())
        room = fill(url)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        secret = secrets.token_hex(32)

        def pserve(port: int) -> list[str | Path]:
            ini = scratch / f"{port}.ini"
            ini.write_text(COMBINE.format(url=url.replace("%", "%%"), secret=secret, port=port))
            return [Path(sys.executable).with_name("pserve"), ini]

        def uvicorn(port: int) -> list[str | Path]:
            return [python, "-m", "uvicorn", "fastapi_app:app", "--port", str(port)]

        def balancer(name: str, instances: list[Served]) -> Served:
            ports = [int(one.url.rpartition(":")[2]) for one in instances]

            def haproxy(port: int) -> list[str | Path]:
                path = scratch / f"{name}{len(ports)}.cfg"
                path.write_text(configuration(ports, port, probes=name == "Combine"))
                return ["haproxy", "-db", "-f", path]

            return stack.enter_context(
                served("HAProxy", haproxy, "/", other_core, LISTEN="127.0.0.1")
            )

        deployments: dict[tuple[str, int], tuple[Served, list[Served]]] = {}
        for name, command, path in (
            ("Combine", pserve, "/health/ready"),
            ("FastAPI", uvicorn, "/docs"),
        ):
            instances = [
                stack.enter_context(served(name, command, path, instance_core, PEER_URL=url))
                for _ in range(max(INSTANCES))
            ]
            for number in INSTANCES:
                some = instances[:number]
                deployments[name, number] = balancer(name, some), some
        todo = [work for work in works(room) if work.title in WORKS]
        found: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
        for turn in range(-1, rounds):
            for work in todo:
                for (name, number), (balanced, instances) in deployments.items():
                    before = sum(one.cpu_seconds() for one in instances)
                    rate, _ = load(balanced, work, room.token, seconds, other_core, scratch)
                    used = sum(one.cpu_seconds() for one in instances) - before
                    if turn >= 0:
                        cpu_ms = used / (rate * seconds) * 1000
                        found.setdefault((work.title, name, number), []).append((rate, cpu_ms))
    return report(found)


def report(found: dict[tuple[str, str, int], list[tuple[float, float]]]) -> str:
    lines = [
        "| Work | Server | Instances | requests/s | CPU of a request | to that with one |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (title, name, number), measured in found.items():
        rate = median(rate for rate, _ in measured)
        cpu = median(cpu for _, cpu in measured)
        alone = [cpu for _, cpu in found[title, name, 1]]
        ratio = median(ours / one for (_, ours), one in zip(measured, alone, strict=True))
        lines.append(
            f"| {title} | {name} | {number} | {rate:,.0f} | {cpu:.3g} ms | {ratio:.2f} x |"
        )
    return "\n".join([*lines, ""])


def main() -> int:
    given = read_arguments(__doc__)
    sys.stdout.write(run(given.rounds, given.seconds, given.peers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
